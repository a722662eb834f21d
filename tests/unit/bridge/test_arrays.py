"""NumPy's files and IDX: values, byte orders, splits, and torn or crafted files."""

import gzip
import struct

import numpy as np
import pytest

from atlas_ds import AtlasDataset
from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError


def rows(path):
    return [example for example, _ in open_source(path).examples()]


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "u1", ">i8", "?", "c8"])
def test_npy(tmp_path, dtype):
    array = np.arange(24).reshape(4, 2, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    assert detect(tmp_path / "a.npy") == "npy"
    convert(tmp_path / "a.npy", tmp_path / "out")
    found = [row["value"] for row in AtlasDataset(tmp_path / "out")]
    assert np.array_equal(found, array) and found[0].dtype == array.dtype.newbyteorder("=")


def test_npy_scalars_text_and_structures(tmp_path):
    np.save(tmp_path / "n.npy", np.arange(3, dtype=">i2"))
    convert(tmp_path / "n.npy", tmp_path / "out")
    assert [int(r["value"]) for r in AtlasDataset(tmp_path / "out")] == [0, 1, 2]
    np.save(tmp_path / "s.npy", np.array(["a", "bc"]))
    assert rows(tmp_path / "s.npy") == [{"value": "a"}, {"value": "bc"}]
    np.save(tmp_path / "r.npy", np.array([(1, 2.5)], [("i", "i4"), ("f", "f8")]))
    assert rows(tmp_path / "r.npy") == [{"i": 1, "f": 2.5}]


def test_npz(tmp_path):
    x, y = np.random.default_rng(0).random((5, 3), np.float32), np.arange(5, dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y)
    assert detect(tmp_path / "a.npz") == "npz"
    convert(tmp_path / "a.npz", tmp_path / "out")
    ds = AtlasDataset(tmp_path / "out")
    assert np.array_equal([r["x"] for r in ds], x) and [int(r["y"]) for r in ds] == list(range(5))


def test_array_errors(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.zeros(4))
    with pytest.raises(SchemaError, match="x 3, y 4"):
        open_source(tmp_path / "a.npz")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(UnsupportedError, match="pickle"):
        open_source(tmp_path / "o.npy")
    np.savez(tmp_path / "o.npz", o=np.array([{}], object))
    with pytest.raises(UnsupportedError, match="pickle"):
        open_source(tmp_path / "o.npz")
    np.save(tmp_path / "0.npy", np.float32(1))
    with pytest.raises(SchemaError, match="single number"):
        open_source(tmp_path / "0.npy")
    np.save(tmp_path / "e.npy", np.zeros((0, 3)))
    with pytest.raises(SchemaError, match="no rows"):
        open_source(tmp_path / "e.npy")
    np.save(tmp_path / "t.npy", np.zeros(100))
    (tmp_path / "t.npy").write_bytes((tmp_path / "t.npy").read_bytes()[:-1])
    with pytest.raises(CorruptError, match=r"t\.npy"):
        open_source(tmp_path / "t.npy")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "t.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptError, match=r"t\.npz"):
        open_source(tmp_path / "t.npz")


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_types(tmp_path, make_idx, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    (tmp_path / "a.idx").write_bytes(make_idx(array))
    assert detect(tmp_path / "a.idx") == "idx"
    found = [r["value"] for r in rows(tmp_path / "a.idx")]
    assert np.array_equal(found, array) and found[0].dtype == array.dtype


def mnist(folder, make_idx, *, packed=True):
    folder.mkdir()
    made = {}
    for split, n in (("train", 6), ("t10k", 3)):
        images = np.random.default_rng(n).integers(0, 255, (n, 5, 4), np.uint8)
        labels = np.arange(n, dtype=np.uint8)
        made[split] = images
        for name, array in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
            data = make_idx(array)
            (folder / (name + (".gz" if packed else ""))).write_bytes(gzip.compress(data) if packed else data)
    return made


@pytest.mark.parametrize("packed", [True, False])
def test_mnist(tmp_path, make_idx, packed):
    made = mnist(tmp_path / "mnist", make_idx, packed=packed)
    assert detect(tmp_path / "mnist") == "idx"
    convert(tmp_path / "mnist", tmp_path / "out")
    assert AtlasDataset(tmp_path / "out").splits == {"train": 6, "test": 3}
    test = AtlasDataset(tmp_path / "out", split="test")
    assert np.array_equal([r["image"] for r in test], made["t10k"]) and [r["label"] for r in test] == [0, 1, 2]


def test_one_pair_has_no_split(tmp_path, make_idx):
    mnist(tmp_path / "mnist", make_idx)
    for path in (tmp_path / "mnist").glob("t10k*"):
        path.unlink()
    assert {split for _, split in open_source(tmp_path / "mnist").examples()} == {None}


def test_idx_errors(tmp_path, make_idx):
    mnist(tmp_path / "mnist", make_idx, packed=False)
    labels = tmp_path / "mnist" / "t10k-labels-idx1-ubyte"
    labels.write_bytes(make_idx(np.zeros(4, np.uint8)))
    with pytest.raises(SchemaError, match="3 images"):
        open_source(tmp_path / "mnist")
    labels.unlink()
    with pytest.raises(SchemaError, match=r"t10k-images.*no counterpart"):
        open_source(tmp_path / "mnist")
    whole = make_idx(np.zeros((3, 2), np.uint8))
    for data, error in ((whole[:-1], TruncatedError), (whole + b"x", CorruptError), (whole[:6], TruncatedError)):
        (tmp_path / "a.idx").write_bytes(data)
        with pytest.raises(error, match=r"a\.idx: byte"):
            rows(tmp_path / "a.idx")
    (tmp_path / "a.idx").write_bytes(b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(LimitError, match="limit"):
        rows(tmp_path / "a.idx")
    (tmp_path / "a.idx").write_bytes(b"\0\0\x08\x02" + struct.pack(">2I", 2**16, 2**17))  # 8 GiB promised, none there
    with pytest.raises(TruncatedError):
        rows(tmp_path / "a.idx")
    (tmp_path / "a.gz").write_bytes(gzip.compress(whole * 1)[:-4])
    with pytest.raises(CorruptError, match=r"a\.gz"):
        rows(tmp_path / "a.gz")
