"""LitData folders made by hand, and what is wrong with them: each damage is named with its file and place. Real ones: tests/contract/test_litdata.py."""

import io
import json
import struct

import pytest

from atlas_ds.bridge import detect, open_source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError, UnsupportedError
from unit.bridge.streaming import LEAF, chunk_bytes, rows, spec
from unit.bridge.streaming import write_litdata as write

ITEMS = [struct.pack("<2I", 8, len(s)) + struct.pack("<q", n) + s for n, s in ((7, b"seven"), (8, b""), (9, b"nine!"))]


def refused(path, kind, words):
    with pytest.raises(kind, match=words) as caught:
        rows(path)
    assert str(path) in str(caught.value)


def test_good(tmp_path):
    folder = write(tmp_path / "lit", chunk_bytes(ITEMS))
    assert detect(folder) == "litdata" and rows(folder) == [{"n": 7, "s": "seven"}, {"n": 8, "s": ""}, {"n": 9, "s": "nine!"}]


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (struct.pack("<I", 2) + chunk_bytes(ITEMS)[4:], CorruptError, "2 items, but the index says 3"),
        (chunk_bytes(ITEMS)[:10], TruncatedError, "ends inside the offsets"),
        (struct.pack("<5I", 3, 20, 10, 57, 78) + chunk_bytes(ITEMS)[20:], CorruptError, "item 0: ends at byte 10, before it begins at 20"),
        (struct.pack("<5I", 3, 20, 41, 57, 780) + chunk_bytes(ITEMS)[20:], CorruptError, "to 780 of 78"),
        (struct.pack("<5I", 3, 0, 41, 57, 78) + chunk_bytes(ITEMS)[20:], CorruptError, "items from byte 0"),
        (chunk_bytes([ITEMS[0], b"xy", ITEMS[2]]), TruncatedError, "item 1: 2 bytes, too few"),
        (chunk_bytes([ITEMS[0], struct.pack("<2I", 8, 99) + bytes(8), ITEMS[2]]), TruncatedError, "item 1: its columns add up to 115 bytes, but it has 16"),
        (chunk_bytes([ITEMS[0], struct.pack("<2I", 7, 1) + bytes(8), ITEMS[2]]), CorruptError, "item 1: column 'n': 7 bytes, but a number has 8"),
        (b"\x28\xb5\x2f\xfd" + chunk_bytes(ITEMS)[4:], CorruptError, "zstd"),
        (b"LDFZ01\0\0" + chunk_bytes(ITEMS)[8:], UnsupportedError, "framed chunk of version"),
        (b"LDFZ01\0\0" + bytes(4), TruncatedError, "ends inside the header"),
        (b"LDFZ01\0\0" + struct.pack("<2H3I", 1, 0, 3, 3, 1 << 30) + bytes(16), TruncatedError, "ends inside the tables"),
        (b"LDFZ01\0\0" + struct.pack("<2H3I", 1, 0, 3, 3, 1) + bytes(16) + struct.pack("<2IQ2I", 0, 9, 64, 4, 4) + b"zstd", CorruptError, "frame 0: items 0 to 9"),
        (b"LDFZ01\0\0" + struct.pack("<2H3I", 1, 0, 3, 3, 1) + bytes(16) + struct.pack("<2IQ2I", 0, 3, 64, 4, 4) + b"zstd", CorruptError, "frame 0: 4 bytes, but its items have 0"),
        (b"LDFZ01\0\0" + struct.pack("<2H3I", 1, 0, 3, 3, 0) + bytes(16), CorruptError, "its frames hold 0 items, not 3"),
        (chunk_bytes(ITEMS) + struct.pack("<I", 900) + b"LDARW01\0", CorruptError, "a table of 900 bytes before it"),
    ],
)
def test_damage_inside_a_chunk(tmp_path, data, kind, words):
    refused(write(tmp_path / "lit", data), kind, words)


def test_the_file_is_not_what_the_index_says(tmp_path):
    data = chunk_bytes(ITEMS)
    refused(write(tmp_path / "lit", data, entry={"chunk_bytes": len(data) + 1}), TruncatedError, r"chunk-0-0\.bin: byte 78: the file ends")
    refused(write(tmp_path / "lit", data, entry={"chunk_bytes": len(data) - 1}), CorruptError, "78 bytes, but the index says 77")
    refused(write(tmp_path / "lit", data, entry={"filename": "gone.bin"}), AtlasError, "gone.bin: the index names it, but it does not exist")
    refused(write(tmp_path / "lit", data, entry={"filename": "/etc/passwd"}), CorruptError, "outside the folder")


@pytest.mark.parametrize(
    ("config", "kind", "words"),
    [
        ({"data_format": ["int", "pickle"]}, UnsupportedError, "column 's' is a pickle, and reading one may run code"),
        ({"data_format": ["int", "my_own"]}, UnsupportedError, "column 's' has the serializer 'my_own'"),
        ({"data_format": ["int", "no_header_tensor:10"]}, UnsupportedError, "dtype number '10'"),
        ({"data_format": ["int"]}, CorruptError, "data_spec has 2 leaves, but data_format has 1"),
        ({"encryption": {"algorithm": "fernet"}}, UnsupportedError, "encrypted"),
        ({"item_loader": "ParquetLoader"}, UnsupportedError, "--from parquet"),
        ({"item_loader": "TokensLoader"}, UnsupportedError, "tokens of format int, str"),
        ({"data_spec": "{"}, CorruptError, "data_spec is not JSON"),
        ({"data_spec": "[2, null]"}, UnsupportedError, "not of version 1"),
        ({"data_spec": json.dumps([1, {"type": "my.Class", "context": "[]", "children_spec": [LEAF] * 2}])}, UnsupportedError, "samples contain a my.Class"),
        ({"data_spec": spec("n", "n")}, CorruptError, "2 values for the keys n, n"),
    ],
)
def test_a_config_that_cannot_be_followed(tmp_path, config, kind, words):
    refused(write(tmp_path / "lit", chunk_bytes(ITEMS), **config), kind, words)


def test_folders_that_differ(tmp_path):
    (tmp_path / "both").mkdir()
    write(tmp_path / "both/train", chunk_bytes(ITEMS))
    write(tmp_path / "both/val", chunk_bytes(ITEMS), data_spec=spec("n", "t"))
    refused(tmp_path / "both", SchemaError, "its samples differ")


@pytest.mark.parametrize(
    ("data_format", "value", "words"),
    [
        ("numpy", struct.pack("<3I", 1, 1, 9) + bytes(3), "int16 9 has 3 bytes"),
        ("numpy", struct.pack("<2I", 14, 0), "dtype number 14"),
        ("tensor", struct.pack(">2I", 0, 1 << 30), "dimensions"),
        ("no_header_numpy:9", bytes(7), "buffer size"),
        ("json", b"\x0c", "tag 12"),
        ("json", b"\x05\x01\0\0\0", "ends at byte"),
        ("json", b"\x06" + struct.pack("<2I", 1 << 31, 0) + b"", "records"),
        ("json", b"\x06" + struct.pack("<2I", 1 << 31, 1) + b"\x01\0\0\0k", "2,147,483,648 records in 14 bytes"),
        ("json", b"\x05\x01\0\0\0\x01\0\0\0k" * 5000, "column 'a'"),
        ("json", b"\x0b\x0b", "ends at byte 1 of 2"),
        ("bool", b"", "0 bytes, but a number has 1"),
    ],
)
def test_values_that_break_their_serializer(tmp_path, data_format, value, words):
    item = struct.pack("<I", len(value)) + value
    folder = write(tmp_path / "lit", chunk_bytes([item]), items=1, data_format=[data_format], data_spec=spec("a"))
    refused(folder, CorruptError, words)


def test_rows_in_tables(tmp_path):
    pa = pytest.importorskip("pyarrow")

    def made(table, types, items=2):
        sink = io.BytesIO()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue() + struct.pack("<I", len(sink.getvalue())) + b"LDARW01\0"
        return write(tmp_path / "lit", chunk_bytes([b""] * items) + data, items=items, types=types, data_format=["int", "pickle"])

    table = pa.table({"n": [1, 2], "s": [None, "x"]})
    folder = made(table, {"n": "int", "s": {"type": "str", "optional": True}})
    assert rows(folder) == [{"n": 1, "s": None}, {"n": 2, "s": "x"}] and open_source(folder).schema["n"] == "int64"
    refused(made(table, None), CorruptError, "types 'None' is not a dict of columns")
    refused(made(table, {"n": "int"}, items=3), CorruptError, "its table has 2 rows, but the index says 3")
    folder = made(table, {"n": "int"})
    data = bytearray((folder / "chunk-0-0.bin").read_bytes())
    data[-60:-30] = b"\xff" * 30  # in the footer of the table, which says where its batches are
    (folder / "chunk-0-0.bin").write_bytes(data)
    refused(folder, CorruptError, "a damaged Arrow table")


@pytest.mark.parametrize("changes", [{}, {"compression": "zstd"}])
def test_a_name_longer_than_a_file_system_takes(tmp_path, changes):
    folder = write(tmp_path / "lit", chunk_bytes(ITEMS), entry={"filename": "x" * 300 + ".zstd.bin"}, **changes)
    refused(folder, CorruptError, r"index\.json: chunk 0: 'x{80}' is not a file name")
