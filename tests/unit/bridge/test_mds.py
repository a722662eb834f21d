"""MDS folders made by hand, and what is wrong with them: each damage is named with its file and place. Real ones: tests/contract/test_mds.py."""

import json
import struct

import pytest

from atlas_ds.bridge import convert, detect, open_source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError, UnsupportedError
from unit.bridge.streaming import rows, shard_bytes
from unit.bridge.streaming import write_mds as write

SAMPLES = [struct.pack("<I", len(s)) + struct.pack("<q", n) + s for n, s in ((7, b"seven"), (8, b""), (9, b"nine!"))]


@pytest.fixture
def good(tmp_path):
    return write(tmp_path / "mds", shard_bytes(SAMPLES))


def test_good(good):
    assert detect(good) == "mds" and rows(good) == [{"n": 7, "s": "seven"}, {"n": 8, "s": ""}, {"n": 9, "s": "nine!"}]
    assert open_source(good).schema == {"n": "int64", "s": "str"} and open_source(good).total == 3


def refused(path, kind, words):
    with pytest.raises(kind, match=words) as caught:
        rows(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda data: data[:-1], TruncatedError, r"shard\.00000\.mds: byte 67: the file ends"),
        (lambda data: data + b"x", CorruptError, "69 bytes, but the index says 68"),
        (lambda data: data[:-1] + b"?", CorruptError, "its sha1 is"),
    ],
)
def test_the_file_is_not_what_the_index_says(good, change, kind, words):
    data = shard_bytes(SAMPLES)
    assert len(data) == 68
    (good / "shard.00000.mds").write_bytes(change(data))
    refused(good, kind, words)


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (struct.pack("<I", 2) + shard_bytes(SAMPLES)[4:], CorruptError, "byte 0: 2 samples, but the index says 3"),
        (shard_bytes(SAMPLES)[:10], TruncatedError, "ends inside the offsets"),
        (struct.pack("<5I", 3, 22, 20, 51, 68) + shard_bytes(SAMPLES)[20:], CorruptError, "sample 0: ends at byte 20, before it begins at 22"),
        (struct.pack("<5I", 3, 8, 39, 51, 68) + shard_bytes(SAMPLES)[20:], CorruptError, "samples from byte 8"),
        (struct.pack("<5I", 3, 22, 39, 51, 5600) + shard_bytes(SAMPLES)[20:], CorruptError, "to 5,600 of 68"),
        (shard_bytes([SAMPLES[0], b"\xff\xff\xff\xff" + SAMPLES[1][4:], SAMPLES[2]]), TruncatedError, "sample 1: its columns add up to 4,294,967,307 bytes, but it has 12"),
        (shard_bytes([SAMPLES[0], SAMPLES[1] + b"x", SAMPLES[2]]), CorruptError, "sample 1: its columns add up to 12 bytes, but it has 13"),
        (shard_bytes([SAMPLES[0], b"xy", SAMPLES[2]]), TruncatedError, "sample 1: 2 bytes, too few"),
        (shard_bytes([SAMPLES[0][:-1] + b"\xff", *SAMPLES[1:]]), CorruptError, "sample 0: column 's': 'utf-8' codec"),
    ],
)
def test_damage_inside_a_shard(tmp_path, data, kind, words):
    refused(write(tmp_path / "mds", data), kind, words)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"column_encodings": ["int", "pkl"]}, UnsupportedError, "column 's' is pickled, and reading a pickle may run code"),
        ({"column_encodings": ["int", "words"]}, UnsupportedError, "column 's' has the unknown encoding 'words'"),
        ({"column_encodings": ["int", "ndarray:object"]}, CorruptError, "column 's': 'object' is not a dtype"),
        ({"column_encodings": ["int", "ndarray:int8:2,x"]}, CorruptError, "is not a dtype and shape"),
        ({"column_encodings": ["int8", "str"]}, CorruptError, "column 'n': its size is 8, but int8 has 1"),
        ({"column_names": ["n", "n"]}, CorruptError, "a unique name"),
        ({"format": "json"}, UnsupportedError, "'json' version 2"),
        ({"version": 3}, UnsupportedError, "'mds' version 3"),
        ({"samples": -1}, CorruptError, "samples is -1"),
        ({"samples": 0}, SchemaError, "no samples"),
        ({"raw_data": {"basename": "../x.mds", "bytes": 1, "hashes": {}}}, CorruptError, "outside the folder"),
        ({"raw_data": {"basename": "gone.mds", "bytes": 1, "hashes": {}}}, AtlasError, "gone.mds: the index names it, but it does not exist"),
        ({"raw_data": None}, CorruptError, "raw_data is missing"),
        ({"raw_data": {"basename": "shard.00000.mds", "bytes": 68, "hashes": {"sha0": "x"}}}, UnsupportedError, "hash 'sha0' is not known"),
    ],
)
def test_an_index_that_cannot_be_followed(tmp_path, changes, kind, words):
    refused(write(tmp_path / "mds", shard_bytes(SAMPLES), **changes), kind, words)


@pytest.mark.parametrize("text", ["{", "[]", '{"shards": 1}', '{"shards": [1]}'])
def test_an_index_that_is_none(good, text):
    (good / "index.json").write_text(text)
    with pytest.raises(CorruptError, match=r"index\.json"):
        open_source(good, "mds")


def test_shards_that_differ(good):
    index = json.loads((good / "index.json").read_text())
    index["shards"].append(index["shards"][0] | {"column_names": ["m", "s"]})
    (good / "index.json").write_text(json.dumps(index))
    refused(good, SchemaError, "shard 1: its columns differ")


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:30] + bytes(8) + data[38:], lambda data: b"no" + data[2:]])
@pytest.mark.parametrize("name", ["zstd", "gz", "bz2", "br", "snappy"])
def test_compressed_shards(tmp_path, name, damage):
    import bz2
    import gzip

    pa = pytest.importorskip("pyarrow")
    raw = shard_bytes(SAMPLES * 40)
    pack = {"gz": gzip.compress, "bz2": bz2.compress}.get(name) or (lambda data: pa.Codec({"br": "brotli"}.get(name, name)).compress(data, asbytes=True))
    packed = pack(raw)
    folder = tmp_path / "mds"

    def made(data, size):
        part = {"basename": "shard.00000.mds." + name, "bytes": len(data), "hashes": {}}
        write(folder, raw, samples=120, compression=f"{name}:3", zip_data=part)
        index = json.loads((folder / "index.json").read_text())
        index["shards"][0]["raw_data"] |= {"bytes": size}
        (folder / "index.json").write_text(json.dumps(index))
        (folder / "shard.00000.mds").unlink()
        (folder / part["basename"]).write_bytes(data)
        return folder

    assert len(rows(made(packed, len(raw)))) == 120
    refused(made(damage(packed), len(raw)), CorruptError, rf"shard\.00000\.mds\.{name}")
    refused(made(packed, len(raw) - 1), CorruptError, rf"shard\.00000\.mds\.{name}")
    refused(made(packed, len(raw) + 1), CorruptError, rf"shard\.00000\.mds\.{name}")


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    part = {"basename": "s.zstd", "bytes": 3, "hashes": {}}
    folder = write(tmp_path / "mds", shard_bytes(SAMPLES), compression="zstd", zip_data=part)
    (folder / "shard.00000.mds").unlink()
    (folder / "s.zstd").write_bytes(b"abc")
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    refused(folder, AtlasError, r"pip install 'atlas-ds\[streaming\]'")


def test_dtypes_that_differ(tmp_path):
    arrays = [bytes([code, 1 << 2, 2]) + bytes(2 * width) for code, width in ((8, 1), (8, 1), (17, 2))]
    data = shard_bytes([struct.pack("<I", len(a)) + a for a in arrays])
    folder = write(tmp_path / "mds", data, column_names=["a"], column_encodings=["ndarray"], column_sizes=[None])
    assert str(open_source(folder).schema["a"]) == "tensor(uint8, anyd)"
    refused(folder, SchemaError, "sample 2: column 'a': an array of int16, but the first sample has uint8")
    with pytest.raises(SchemaError):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("encoding", "value", "words"),
    [
        ("ndarray:int16", bytes([2 << 2, 2, 2]) + bytes(7), "int16 2x2 has 7 bytes"),
        ("ndarray:int16", bytes([63 << 2, 2, 2]), "63 dimensions in 3 bytes"),
        ("ndarray", b"\x07\x04\x01\0", "not a dtype"),
        ("pil", struct.pack("<3I", 2, 2, 3) + b"RGB" + bytes(11), "2 x 2 in RGB has 11 bytes"),
        ("pil", struct.pack("<3I", 2, 2, 900) + b"RGB", "mode"),
        ("pil", struct.pack("<3I", 1, 1, 1) + b"F" + bytes(4), "mode 'F'"),
        ("jpeg_array", struct.pack("<2I", 1, 9) + b"x", "end at byte 17 of 9"),
        ("list[png]", struct.pack("<2I", 0, 1 << 31), "sizes up to byte"),
        ("str_int", b"99999999999999999999", "more than 64 bits"),
        ("json", b"{", "column 'a'"),
        ("json", b"[" * 100_000, "column 'a'"),
    ],
)
def test_values_that_break_their_encoding(tmp_path, encoding, value, words):
    first = {"ndarray": bytes([8, 1 << 2, 1, 0])}.get(encoding)
    samples = [struct.pack("<I", len(item)) + item for item in (first, value) if item is not None]
    folder = write(tmp_path / "mds", shard_bytes(samples), samples=len(samples), column_names=["a"], column_encodings=[encoding], column_sizes=[None])
    refused(folder, CorruptError, words)


@pytest.mark.parametrize("packed", [None, {"basename": "x" * 300 + ".mds.zstd", "bytes": 1, "hashes": {}}])
def test_a_name_longer_than_a_file_system_takes(tmp_path, packed):
    raw = {"basename": "x" * 300 + ".mds", "bytes": 1, "hashes": {}}
    folder = write(tmp_path / "mds", shard_bytes(SAMPLES), raw_data=raw, zip_data=packed, compression="zstd" if packed else None)
    refused(folder, CorruptError, r"index\.json: shard 0: raw_data: 'x{80}' is not a file name")
