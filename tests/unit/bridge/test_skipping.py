"""Damage in a part of a source: all of it named at once, or left out, listed and counted; and links, pipes and devices in the place of its files."""

import json
import os
import pickle
import struct

import numpy as np
import pytest
import zstandard

from atlas_ds import AtlasDataset, AtlasDatasetWriter
from atlas_ds.bridge import convert, import_webdataset
from atlas_ds.cli import main
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError
from unit.bridge.conftest import idx_bytes
from unit.bridge.streaming import chunk_bytes, shard_bytes, shard_entry, spec, write_litdata
from unit.bridge.tars import write_tar
from unit.bridge.v1_writer import NONE, PLAIN, write_v1


def sample(number, text=b"word"):
    return struct.pack("<I", len(text)) + struct.pack("<q", number) + text


def shards(folder, *many, hashes=True):
    """An MDS folder of these lists of samples."""
    folder.mkdir()
    entries = []
    for k, samples in enumerate(many):
        data = shard_bytes(samples)
        (folder / f"s{k}.mds").write_bytes(data)
        entries.append(shard_entry(data, f"s{k}.mds", len(samples)))
    (folder / "index.json").write_text(json.dumps({"version": 2, "shards": entries}))
    return folder


def kept(done, column):
    return [row[column] for row in AtlasDataset(done.path)]


def test_mds_samples_and_shards(tmp_path):
    src = shards(tmp_path / "mds", [sample(0), sample(1, b"\xff"), sample(2)], [sample(3)] * 4, [sample(7), b"??"])
    (src / "s1.mds").unlink()
    done = convert(src, tmp_path / "out", on_error="skip")
    assert kept(done, "n") == [0, 2, 7] and done.rows == 3
    assert [line.partition(": ")[0] for line in done.skipped] == [str(src / name) for name in ("s0.mds", "s1.mds", "s2.mds")]
    assert "sample 1: column 's'" in done.skipped[0] and "(4 examples)" in done.skipped[1] and "sample 1: 2 bytes, too few" in done.skipped[2]
    with pytest.raises(AtlasError, match=r"6 of 9 examples cannot be converted:\n  .*s0\.mds: sample 1(.|\n)*s1\.mds: the index names it(.|\n)*s2\.mds.*\n.*--skip-errors"):
        convert(src, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_mds_hash_loses_the_shard(tmp_path):
    src = shards(tmp_path / "mds", [sample(0)], [sample(1), sample(2)])
    data = bytearray((src / "s1.mds").read_bytes())
    data[-1] ^= 1
    (src / "s1.mds").write_bytes(data)
    done = convert(src, tmp_path / "out", on_error="skip")
    assert kept(done, "n") == [0] and "its sha1 is" in done.skipped[0] and "(2 examples)" in done.skipped[0]


def test_all_is_lost(tmp_path):
    src = shards(tmp_path / "mds", [sample(0)], [sample(1)])
    for k in range(2):
        (src / f"s{k}.mds").unlink()
    with pytest.raises(AtlasError, match="2 of 2 examples"):
        convert(src, tmp_path / "out", on_error="skip")
    assert not (tmp_path / "out").exists()


def test_the_dtype_is_that_of_the_first_good_sample(tmp_path):
    array = bytes((66, 1 << 2, 2)) + np.array([1.5, 2.5]).tobytes()
    data = shard_bytes([struct.pack("<I", 1) + b"?", struct.pack("<I", len(array)) + array])
    (tmp_path / "mds").mkdir()
    (tmp_path / "mds" / "s.mds").write_bytes(data)
    entry = shard_entry(data, "s.mds", 2, column_names=["a"], column_encodings=["ndarray"], column_sizes=[None])
    (tmp_path / "mds" / "index.json").write_text(json.dumps({"version": 2, "shards": [entry]}))
    done = convert(tmp_path / "mds", tmp_path / "out", on_error="skip")
    assert kept(done, "a")[0].tolist() == [1.5, 2.5] and "s.mds: sample 0" in done.skipped[0]


ITEMS = [struct.pack("<2I", 8, 2) + struct.pack("<q", n) + b"ab" for n in range(4)]


def chunks(folder, *many):
    folder.mkdir()
    listed = []
    for k, (data, items) in enumerate(many):
        (folder / f"c{k}.bin").write_bytes(data)
        listed.append({"chunk_bytes": len(data), "chunk_size": items, "dim": None, "filename": f"c{k}.bin"})
    config = {"compression": None, "data_format": ["int", "str"], "data_spec": spec("n", "s"), "encryption": None, "item_loader": "PyTreeLoader"}
    (folder / "index.json").write_text(json.dumps({"chunks": listed, "config": config}))
    return folder


def test_litdata_items_and_chunks(tmp_path):
    bad = [ITEMS[0], ITEMS[1][:-1], ITEMS[2], ITEMS[3][:-2] + b"\xff\xff"]
    src = chunks(tmp_path / "lit", (chunk_bytes(ITEMS), 4), (chunk_bytes(bad), 4), (chunk_bytes(ITEMS), 3))
    (src / "c0.bin").unlink()
    done = convert(src, tmp_path / "out", on_error="skip")
    assert kept(done, "n") == [0, 2] and len(done.skipped) == 4
    assert "c0.bin: the index names it" in done.skipped[0] and "(4 examples)" in done.skipped[0]
    assert "c1.bin: item 1" in done.skipped[1] and "c1.bin: item 3: column 's'" in done.skipped[2] and "(3 examples)" in done.skipped[3]
    with pytest.raises(AtlasError, match="9 of 11 examples"):
        convert(src, tmp_path / "none")


def test_litdata_packed_items(tmp_path):
    good = [zstandard.compress(item) for item in ITEMS]
    items = [good[0], good[1][:-3], b"not zstd", good[3]]
    src = write_litdata(tmp_path / "lit", chunk_bytes(items), items=4, compression="zstd", compression_level="sample")
    done = convert(src, tmp_path / "out", on_error="skip")
    assert kept(done, "n") == [0, 3] and ["item 1" in done.skipped[0], "item 2" in done.skipped[1]] == [True, True]


def test_litdata_frames(tmp_path):
    offsets = np.cumsum([0, *map(len, ITEMS)]).astype("<u4").tobytes()
    packed = [zstandard.compress(b"".join(ITEMS[k : k + 2])) for k in (0, 2)]
    packed[0] = b"\0" * len(packed[0])
    start = 24 + len(offsets) + 48
    frames = b"".join(struct.pack("<2IQ2I", k, 2, start + k // 2 * len(packed[0]), len(packed[k // 2]), 36) for k in (0, 2))
    data = struct.pack("<8s2H3I", b"LDFZ01\0\0", 1, 0, 4, 2, 2) + offsets + frames + b"".join(packed)
    src = write_litdata(tmp_path / "lit", data, items=4)
    done = convert(src, tmp_path / "out", on_error="skip")
    assert kept(done, "n") == [2, 3] and "frame 0" in done.skipped[0] and "(2 examples)" in done.skipped[0]


@pytest.mark.parametrize("strategy", [NONE, PLAIN])
def test_v1_blocks(tmp_path, strategy):
    src = write_v1(tmp_path / "v1", [{"i": i} for i in range(20)], shard_size=12, block_size=4, strategy=strategy)
    index = np.load(src / "0" / "index.npy")
    data = bytearray((src / "0" / "data.bin").read_bytes())
    data[index[1] : index[2]] = b"\xff" * int(index[2] - index[1])
    (src / "0" / "data.bin").write_bytes(data)
    done = convert(src, tmp_path / "out", trust_pickle=True, on_error="skip")
    assert kept(done, "i") == [0, 1, 2, 3, *range(8, 20)] and len(done.skipped) == 1
    assert "block 1" in done.skipped[0] and "(4 examples)" in done.skipped[0]
    with pytest.raises(CorruptError, match="block 1"):
        convert(src, tmp_path / "none", trust_pickle=True)


def test_v1_shards(tmp_path):
    """A shard whose files do not fit loses its rows; without skip all such shards are named, and nothing is unpickled."""
    src = write_v1(tmp_path / "v1", [{"i": i} for i in range(30)], shard_size=10, block_size=4, strategy=NONE)
    (src / "0" / "index.npy").write_bytes(b"")
    (src / "2" / "meta.json").write_text("{")
    done = convert(src, tmp_path / "out", trust_pickle=True, on_error="skip")
    assert kept(done, "i") == list(range(10, 20)) and [line.count("(10 examples)") for line in done.skipped] == [1, 1]
    with pytest.raises(CorruptError, match=r"20 of 30 examples cannot be converted:\n  .*0/index\.npy(.|\n)*2/meta\.json: not JSON"):
        convert(src, tmp_path / "none", trust_pickle=True)


def test_v1_claims_of_a_pickle(tmp_path):
    """A size that the pickle does not have is an error of its block, not of the process."""
    src = write_v1(tmp_path / "v1", [{"i": 1}] * 4, strategy=NONE)
    claim = pickle.PROTO + b"\x04" + pickle.BINUNICODE8 + struct.pack("<Q", 1 << 62) + b"x."
    (src / "0" / "data.bin").write_bytes(claim)
    np.save(src / "0" / "index.npy", np.array([0, len(claim)], np.uint8))
    with pytest.raises((CorruptError, LimitError), match=r"v1/0: block 0"):
        convert(src, tmp_path / "out", trust_pickle=True)


def dataset(folder):
    rng = np.random.default_rng(3)
    with AtlasDatasetWriter(folder, 64, 8, compression="none", workers=0) as writer:
        for i in range(200):
            writer.add_example({"i": i, "a": rng.random(32)}, split="train" if i < 150 else "test")
    return folder


def test_rows_of_a_dataset(tmp_path):
    src = dataset(tmp_path / "ds")
    shard = sorted(src.glob("*.atlas"))[1]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(data)
    done = convert(src, tmp_path / "out", on_error="skip")
    lost = 200 - done.rows
    assert 0 < lost <= 8 and len(done.skipped) == lost and all(str(src) in line and "row " in line for line in done.skipped)
    rows = [row["i"] for row in AtlasDataset(tmp_path / "out")]
    assert len(rows) == done.rows and sorted(set(range(200)) - set(rows)) == [int(line.split(": row ")[1].split(" ")[0]) for line in done.skipped]
    assert sum(AtlasDataset(tmp_path / "out").splits.values()) == done.rows
    with pytest.raises(CorruptError, match="cannot be converted"):
        convert(src, tmp_path / "none")


def test_a_shard_of_a_dataset_is_gone(tmp_path):
    src = dataset(tmp_path / "ds")
    gone = sorted(src.glob("*.atlas"))[2]
    gone.unlink()
    done = convert(src, tmp_path / "out", on_error="skip")
    assert 0 < done.rows < 200 and len(done.skipped) == 200 - done.rows
    assert all(str(src) in line for line in done.skipped)


def broken_tar(folder):
    members = [(f"{k}.json", b"{" if k in (1, 3) else b'{"k": %d}' % k) for k in range(5)]
    return write_tar(folder / "t.tar", members)


def test_samples_of_a_tar(tmp_path):
    src = broken_tar(tmp_path)
    with pytest.raises(CorruptError, match=r"2 of 5 examples cannot be converted:\n  .*t\.tar: 1\.json(.|\n)*t\.tar: 3\.json(.|\n)*--skip-errors"):
        import_webdataset(src, tmp_path / "none", decode=True)
    assert not (tmp_path / "none").exists()
    done = import_webdataset(src, tmp_path / "out", decode=True, on_error="skip")
    assert done.rows == 3 and ["t.tar: 1.json" in done.left_out[0], "t.tar: 3.json" in done.left_out[1]] == [True, True]
    assert kept(done, "json") == [{"k": 0}, {"k": 2}, {"k": 4}]


@pytest.mark.parametrize("append", [False, True])
def test_no_sample_of_a_tar_is_left(tmp_path, append):
    """The same as where other sources lose all: an error, no empty dataset."""
    for name in "ab":
        write_tar(tmp_path / f"{name}.tar", [(f"{name}{k}.json", b"{") for k in range(3)])
    with pytest.raises(SchemaError, match=r"none of 6 samples can be stored; the first: .*a\.tar: a0\.json"):
        import_webdataset([tmp_path / "a.tar", tmp_path / "b.tar"], tmp_path / "out", decode=True, on_error="skip", shard_size=100, append=append)
    assert not (tmp_path / "out" / "atlas.json").exists()


def test_the_command_line_lists_what_is_left_out(tmp_path, capsys):
    assert main(["convert", str(broken_tar(tmp_path)), str(tmp_path / "out"), "--decode", "--skip-errors", "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "3 rows" in shown and "2 of 5 examples left out" in shown and "3.json" in shown


def test_the_command_line_counts_rows(tmp_path, capsys):
    """A damaged file is one line, and as many examples as it had."""
    src = shards(tmp_path / "mds", [sample(0)], [sample(1)] * 6)
    (src / "s1.mds").unlink()
    assert main(["convert", str(src), str(tmp_path / "out"), "--skip-errors", "--quiet", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 1 and told["lost"] == 6 and len(told["skipped"]) == 1
    assert main(["convert", str(src), str(tmp_path / "out"), "--skip-errors", "--quiet", "--overwrite"]) == 0
    assert "6 of 7 examples left out:" in capsys.readouterr().out


def test_damage_of_a_tar_is_never_skipped(tmp_path):
    src = broken_tar(tmp_path)
    src.write_bytes(src.read_bytes()[:2000])
    with pytest.raises(TruncatedError, match=r"t\.tar: byte"):
        import_webdataset(src, tmp_path / "out", decode=True, on_error="skip")


# --- what stands in a file's place ---


def idx_pair(folder):
    folder.mkdir()
    (folder / "images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((3, 2, 2), np.uint8)))
    (folder / "labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    return folder


FOLDERS = {
    "mds": (lambda folder: shards(folder, [sample(0)], [sample(1)]), "s1.mds", {}),
    "mds index": (lambda folder: shards(folder, [sample(0)]), "index.json", {"source_format": "mds"}),
    "litdata": (lambda folder: chunks(folder, (chunk_bytes(ITEMS), 4)), "c0.bin", {}),
    "idx": (idx_pair, "labels-idx1-ubyte", {"source_format": "idx"}),
    "v1": (lambda folder: write_v1(folder, [{"i": i} for i in range(8)], strategy=NONE), "0/data.bin", {"trust_pickle": True}),
    "v1 index": (lambda folder: write_v1(folder, [{"i": i} for i in range(8)], strategy=NONE), "0/index.npy", {"trust_pickle": True}),
    "v1 meta": (lambda folder: write_v1(folder, [{"i": i} for i in range(8)], strategy=NONE), "meta.json", {"trust_pickle": True, "source_format": "atlas-v1"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_links_out_of_a_source(tmp_path, name):
    make, inner, options = FOLDERS[name]
    src = make(tmp_path / "src")
    (src / inner).rename(tmp_path / "elsewhere")
    (src / inner).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AtlasError, match=f"{inner}.*elsewhere.*--follow-links"):
        convert(src, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    assert convert(src, tmp_path / "out", follow_links=True, **options).rows > 0


def test_links_inside_a_source_and_to_it(tmp_path):
    src = shards(tmp_path / "mds", [sample(0)])
    (src / "s0.mds").rename(src / "real")
    (src / "s0.mds").symlink_to("real")
    (tmp_path / "named").symlink_to(src)
    assert convert(tmp_path / "named", tmp_path / "out").rows == 1


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, device, os.mkdir])
@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "mds index"])
def test_what_is_not_a_file(tmp_path, name, make):
    """With links followed, so that it is the kind of file that is refused."""
    source, inner, options = FOLDERS[name]
    src = source(tmp_path / "src")
    (src / inner).unlink()
    make(src / inner)
    with pytest.raises(AtlasError, match=inner if name != "idx" else "images|labels"):
        convert(src, tmp_path / "out", follow_links=True, **options)


@pytest.mark.parametrize("make", [pipe, device])
@pytest.mark.parametrize("format", ["npy", "npz", "idx", "webdataset"])
def test_a_single_file_that_is_none(tmp_path, format, make):
    make(tmp_path / "src")
    with pytest.raises(UnsupportedError, match=r"src: not a file but a (pipe|device)"):
        convert(tmp_path / "src", tmp_path / "out", source_format=format)


def test_names_that_no_file_can_have(tmp_path):
    src = shards(tmp_path / "mds", [sample(0)])
    index = json.loads((src / "index.json").read_text())
    for name in ("a\0b", "\ud800", "x" * 5000, "", 7, None, "../s0.mds", "/etc/passwd"):
        index["shards"][0]["raw_data"]["basename"] = name
        (src / "index.json").write_text(json.dumps(index))
        with pytest.raises(CorruptError, match=r"index\.json: shard 0: raw_data: "):
            convert(src, tmp_path / "out")


def test_an_array_with_more_behind_it(tmp_path):
    """Two arrays that were saved into one file: the second one would be lost."""
    with open(tmp_path / "a.npy", "wb") as file:
        np.save(file, np.arange(3))
        np.save(file, np.arange(5))
    with pytest.raises(CorruptError, match=r"a\.npy: byte \d+: .* bytes of values, not 24"):
        convert(tmp_path / "a.npy", tmp_path / "out")


def test_names_of_the_idx_family_that_hold_something_else(tmp_path):
    """Two of four files damaged are not left out in silence."""
    src = tmp_path / "mnist"
    src.mkdir()
    for part in ("train", "t10k"):
        (src / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((3, 2, 2), np.uint8)))
        (src / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    for what in ("images-idx3", "labels-idx1"):
        (src / f"t10k-{what}-ubyte").write_bytes(b"<html>not found</html>")
    with pytest.raises(CorruptError, match=r"t10k-images-idx3-ubyte: byte 0"):
        convert(src, tmp_path / "out")


def test_text_of_characters_that_are_none(tmp_path):
    """A value whose bytes no str may have: what is written must be readable."""
    array = np.array(["ab", "cd", "ef"])
    data = bytearray(array.tobytes())
    data[8:12] = struct.pack("<I", 0x110000)
    np.save(tmp_path / "t.npy", np.frombuffer(bytes(data), array.dtype))
    with pytest.raises(CorruptError, match=r"t\.npy: row 1: value has a character above"):
        convert(tmp_path / "t.npy", tmp_path / "none")
    assert kept(convert(tmp_path / "t.npy", tmp_path / "out", on_error="skip"), "value") == ["ab", "ef"]


def test_a_column_that_cannot_be(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3), b=np.array(7))
    with pytest.raises(SchemaError, match="b is a single number"):
        convert(tmp_path / "a.npz", tmp_path / "out")


@pytest.mark.parametrize("damage", ["its offsets", "its end", "missing"])
def test_litdata_whose_first_chunk_is_damaged_takes_the_type_of_arrays_from_the_next(tmp_path, damage):
    def item(values):
        data = struct.pack("<3I", 1, 1, len(values)) + np.array(values, np.int16).tobytes()
        return struct.pack("<I", len(data)) + data

    first = chunk_bytes([item([1, 2])])
    folder = write_litdata(tmp_path / "lit", first[:9] if damage == "its offsets" else first, items=1, data_format=["numpy"], data_spec=spec("a"))
    index = json.loads((folder / "index.json").read_bytes())
    if damage == "its end":
        (folder / "chunk-0-0.bin").write_bytes(first[:-1])
    elif damage == "missing":
        (folder / "chunk-0-0.bin").unlink()
    good = chunk_bytes([item([3]), item([4, 5])])
    (folder / "chunk-0-1.bin").write_bytes(good)
    index["chunks"].append(index["chunks"][0] | {"filename": "chunk-0-1.bin", "chunk_bytes": len(good), "chunk_size": 2})
    (folder / "index.json").write_text(json.dumps(index))
    done = convert(folder, tmp_path / "out", on_error="skip", progress=False)
    assert [row["a"].tolist() for row in AtlasDataset(tmp_path / "out")] == [[3], [4, 5]]
    assert done.lost == 1 and len(done.skipped) == 1 and "chunk-0-0.bin" in done.skipped[0]
    assert str(AtlasDataset(tmp_path / "out").schema["a"].type) == "tensor(int16, anyd)"
