"""Paths that are no dataset: what the error says they are, and which call reads them."""

import gzip
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds.dataset.foreign_kinds import KINDS, MAGIC, SUFFIXES, kind_of
from atlas_ds.errors import AtlasError, CorruptError, NotADataset, UnsupportedError
from support import write


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def tar(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        entry = tarfile.TarInfo("0001.txt")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"one"))
    return path


def zipped(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "x")
    return path


def npy(path: Path) -> Path:
    np.save(path, np.arange(3))
    return path


def old_tar(path: Path) -> Path:
    """Without a magic, as before POSIX."""
    block = bytearray(512)
    block[:5], block[100:107], block[124:135] = b"a.txt", b"0000644", b"00000000000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return put(path, bytes(block) + bytes(1024))


FILES = [
    (lambda d: tar(d / "birds.tar"), "a tar", 'atlas.open_tar("{path}")'),
    (lambda d: old_tar(d / "old.bin"), "a tar", 'atlas.open_tar("{path}")'),
    (lambda d: tar(d / "birds.tar.gz"), "a compressed tar", 'atlas.import_webdataset("{path}", NEW)'),
    (lambda d: tar(d / "birds.tgz"), "a compressed tar", "import_webdataset"),
    (lambda d: put(d / "a.parquet", b"PAR1" + bytes(60)), "a Parquet file", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "without_suffix", b"PAR1" + bytes(60)), "a Parquet file", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "a.feather", b"ARROW1\0\0" + bytes(60)), "an Arrow file", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "a.csv", "city,people\nBern,3\n"), "a CSV table", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "table", "city;people\nBern;3\n"), "a CSV table", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "t.csv.gz", gzip.compress(b"a,b\n1,2\n")), "a CSV table", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "a.txt", '{"chat": 1}\n{"chat": 2}\n'), "a file of JSON lines", "`atlas-ds convert {path} NEW`"),
    (lambda d: npy(d / "a.npy"), "a NumPy array (.npy)", "`atlas-ds convert {path} NEW`"),
    (lambda d: zipped(d / "a.npz", "x.npy"), "a NumPy archive (.npz)", "`atlas-ds convert {path} NEW`"),
    (lambda d: zipped(d / "a.zip", "x.txt"), "a zip archive", "unpack it"),
    (lambda d: zipped(d / "model.bin", "archive/data.pkl"), "a file of torch.save", "torch.load"),
    (lambda d: put(d / "a.h5", b"\x89HDF\r\n\x1a\n" + bytes(60)), "an HDF5 file", "h5py"),
    (lambda d: put(d / "data.mdb", bytes(16) + b"\xde\xc0\xef\xbe" + bytes(60)), "an LMDB database", "lmdb"),
    (lambda d: put(d / "images-idx3-ubyte", b"\0\0\x08\x03" + b"\0\0\0\1" * 3 + b"x"), "an IDX file", "`atlas-ds convert {path} NEW`"),
    (lambda d: put(d / "x.jpg", b"\xff\xd8\xff\xe0"), "an image, audio or video file", "a folder of them"),
    (lambda d: put(d / "x.pkl", pickle.dumps([1])), "a pickle", "pickle"),
    (lambda d: put(d / "x.tfrecord", b"\1" * 60), "a TFRecord file", "tensorflow"),
    (lambda d: put(d / "shard.00000.mds", b"\1" * 60), "a shard of MosaicML Streaming", "index.json"),
    (lambda d: put(d / "mds" / "index.json", '{"shards": []}'), "a JSON file that describes a folder", "`atlas-ds convert {folder} NEW`"),
    (lambda d: put(d / "notes.txt", "a few words\n"), 'a text file that begins with "a few words', "give the folder"),
    (lambda d: put(d / "odd", "a few words\x1b[31m\n"), "a few words\\u001b[31m", "give the folder"),
    (lambda d: put(d / "nothing", b""), "an empty file", "give the folder"),
    (lambda d: put(d / "bytes", b"\xfe\x01\x02\x03" * 9), "it begins with the bytes fe 01 02 03", "give the folder"),
]


@pytest.mark.parametrize(("make", "what", "call"), FILES)
def test_files(tmp_path, make, what, call):
    path = make(tmp_path)
    for io_ in ("mmap", "pread"):
        with pytest.raises(NotADataset) as caught:
            atlas.AtlasDataset(path, io=io_)
        told = str(caught.value)
        assert told.startswith(f"{path}: ") and what in told and call.format(path=path, folder=path.parent) in told
        assert told.isprintable() and not isinstance(caught.value, CorruptError)
        assert isinstance(caught.value, AtlasError) and isinstance(caught.value, FileNotFoundError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == told
    with pytest.raises(NotADataset, match=r"give the folder|`atlas-ds convert|NEW|read it|unpack"):
        atlas.verify(path)
    with pytest.raises(NotADataset):
        atlas.shuffle(path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_kind_has_its_words():
    for kind in (*SUFFIXES.values(), *(name for _, _, name in MAGIC)):
        assert kind in KINDS
    for suffix, kind in SUFFIXES.items():
        if kind not in ("tar", "packed"):
            assert kind_of("x" + suffix.upper(), b"\1\2\3") == kind


FOLDERS = [
    (["a.tar", "b.tar"], "tars", 'atlas.open_tar("{path}")'),
    (["train/a.tar"], "tars", 'atlas.open_tar("{path}/train")'),
    (["a.tar.zst"], "compressed tars", "import_webdataset"),
    (["part-0.parquet", "README.md"], "Parquet files", "`atlas-ds convert {path} NEW`"),
    (["data/train-0.parquet", "README.md"], "Parquet files", "`atlas-ds convert {path} NEW`"),
    (["a.jsonl", "LICENSE"], "files of JSON lines", "`atlas-ds convert {path} NEW`"),
    (["state.json", "dataset_info.json", "data-0.arrow"], "a Hugging Face dataset", "`atlas-ds convert {path} NEW`"),
    (["dataset_dict.json", "train/state.json"], "a Hugging Face dataset", "`atlas-ds convert {path} NEW`"),
    (["meta.json"], "torch-atlas-ds (version 1)", "`atlas-ds convert --trust-pickle {path} NEW`"),
    (["finch/1.jpg", "wren/2.jpg", "README.md"], "image, audio or video files", "`atlas-ds convert {path} NEW`"),
    (["data.mdb", "lock.mdb"], "an LMDB database", "lmdb"),
    (["00000-0123456789abcdef.atlas"], "it holds shards", "`atlas-ds repair {path}`"),
    (["zarr.json", "c/0"], "a Zarr array", "zarr"),
    ([], "the folder is empty", "AtlasDatasetWriter"),
]


@pytest.mark.parametrize(("files", "what", "call"), FOLDERS)
def test_folders(tmp_path, files, what, call):
    folder = tmp_path / "some where"
    folder.mkdir()
    for name in files:
        put(folder / name, "{}")
    with pytest.raises(NotADataset, match=r"atlas\.json not found") as caught:
        atlas.AtlasDataset(folder)
    quoted = f"'{folder}'" if "`" in call else str(folder)
    assert what in str(caught.value) and call.format(path=quoted) in str(caught.value)


@pytest.mark.parametrize(("index", "what"), [('{"shards": [], "version": 2}', "MosaicML"), ('{"chunks": [], "config": {}}', "LitData")])
@pytest.mark.parametrize("where", ["index.json", "train/index.json"])
def test_folders_with_an_index(tmp_path, index, what, where):
    put(tmp_path / where, index)
    with pytest.raises(NotADataset, match=f"a dataset of {what}.*atlas-ds convert {tmp_path} NEW"):
        atlas.AtlasDataset(tmp_path)


def test_the_manifest_as_a_path(tmp_path):
    path = write(tmp_path / "d", [{"y": i} for i in range(4)])
    ds = atlas.AtlasDataset(path / "atlas.json")
    assert len(ds) == 4 and ds.path == str(path) and pickle.loads(pickle.dumps(ds))[3] == {"y": 3}
    assert atlas.verify(path / "atlas.json").rows == 4
    put(tmp_path / "copied.json", (path / "atlas.json").read_bytes())
    with pytest.raises(NotADataset, match=r"is a manifest, but is not called atlas\.json"):
        atlas.AtlasDataset(tmp_path / "copied.json")
    put(path / ".writing.json", "{}")
    with pytest.raises(NotADataset, match="the journal of a writer; the dataset is its folder"):
        atlas.AtlasDataset(path / ".writing.json")


def test_splits_and_datasets_around(tmp_path):
    with atlas.AtlasDatasetWriter(tmp_path / "d", workers=0) as writer:
        writer.extend([{"y": 1}], split="train")
    with pytest.raises(NotADataset, match=r'"train" is a split: atlas.AtlasDataset\(".*d", split="train"\)'):
        atlas.AtlasDataset(tmp_path / "d" / "train")
    with pytest.raises(NotADataset, match=r"the folder around it is a dataset.*its splits are train"):
        atlas.AtlasDataset(tmp_path / "d" / "valid")
    for name in ("train", "valid"):
        write(tmp_path / "both" / name, [{"y": 1}])
    with pytest.raises(NotADataset, match=r"the datasets are in its folders train, valid: .*both/train.*atlas.concat"):
        atlas.AtlasDataset(tmp_path / "both")


def test_paths_that_lead_nowhere(tmp_path):
    write(tmp_path / "flowers", [{"y": 1}])
    for wrong, words in (("flower", "similar names: .*flowers"), ("Flowrs/x", "similar names"), ("zzz", '.* has nothing called "zzz"')):
        with pytest.raises(NotADataset, match=f"no such folder or file; {words}"):
            atlas.AtlasDataset(tmp_path / wrong)
    put(tmp_path / "file", "x")
    with pytest.raises(NotADataset, match="is a file, not a folder"):
        atlas.AtlasDataset(tmp_path / "file" / "deeper" / "still")
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(NotADataset, match='is a link to "gone"'):
        atlas.AtlasDataset(tmp_path / "link")


def test_pipes_and_devices_are_not_opened(tmp_path):
    for name in ("pipe", "pipe.atlas"):
        os.mkfifo(tmp_path / name)
    for path, what in ((tmp_path / "pipe", "a pipe"), (tmp_path / "pipe.atlas", "a pipe"), (Path("/dev/zero"), "a device")):
        for door in (atlas.AtlasDataset, atlas.verify):
            with pytest.raises(NotADataset, match=f"is {what}, which is never opened"):
                door(path)


def test_damage_is_still_damage(tmp_path):
    path = write(tmp_path / "d", [{"y": i} for i in range(4)])
    shard = next(path.glob("*.atlas"))
    data = shard.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[:9], b"\0" * len(data), bytes(reversed(data)), b"text, text\n"):
        put(tmp_path / "x.atlas", damaged)
        with pytest.raises(CorruptError):
            atlas.AtlasDataset(tmp_path / "x.atlas")
    put(tmp_path / "x.other", data[: len(data) // 2])
    with pytest.raises(CorruptError):
        atlas.AtlasDataset(tmp_path / "x.other")
    put(tmp_path / "x.other", data)
    assert len(atlas.AtlasDataset(tmp_path / "x.other")) == 4


URLS = [
    ("https://host/a-{000..009}.tar", "atlas.open_tar"),
    ("s3://bucket/a.tar", "atlas.open_tar"),
    ("hf://datasets/mnist", "import_huggingface"),
    ("file:///data/train", "give the path '/data/train'"),
    ("file://localhost/data/train", "give the path '/data/train'"),
]


@pytest.mark.parametrize(("url", "words"), URLS)
def test_urls(url, words):
    with pytest.raises(UnsupportedError) as caught:
        atlas.AtlasDataset(url)
    assert "is a URL" in str(caught.value) and words in str(caught.value)


def test_what_is_not_a_path(tmp_path):
    ds = atlas.AtlasDataset(write(tmp_path / "d", [{"y": 1}]))
    with open(tmp_path / "d" / "atlas.json") as file:
        for wrong, words in (
            (None, "path=None"), (["a", "b"], "atlas.concat"), (3, "type int"), (file, "an open file"), (ds, "open already.*its path is"),
            ({"a": 1}, "AtlasDatasetWriter"), (np.zeros(3), "AtlasDatasetWriter"),
        ):  # fmt: skip
            with pytest.raises(TypeError, match=words):
                atlas.AtlasDataset(wrong)


def test_arguments_of_other_libraries(tmp_path):
    path = write(tmp_path / "d", [{"y": 1}])
    for name, words in (("transform", "ds.map"), ("train", "split="), ("shuffle", "Loader"), ("colums", "did you mean columns="), ("zzz", "the arguments are path")):
        with pytest.raises(TypeError, match=f"no argument '{name}'.*{words}"):
            atlas.AtlasDataset(path, **{name: 1})
