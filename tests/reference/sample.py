"""Shards for the tests to start from: `rich()` has every type, layout, codec and flag; `tiny()` little of each. No tests here."""

from __future__ import annotations

import datetime
import json
import struct
from functools import cache
from typing import Any

import msgpack
import zstandard

from .builder import Encoding, Leaf, Plan
from .wire import CONST, ENUM, FIXED, FIXED_LEAF, LZ4, NARROW, NULLABLE, PAGE_CODED, VAR, VARIABLE_LEAF, ZSTD

ROWS = 11


@cache
def dictionary() -> bytes:
    """A formatted zstd dictionary of 1 KiB. lz4 may use it too: as the bytes that it is."""
    return zstandard.train_dictionary(1024, [b'{"caption": "row %d of many", "source": "test"}' % (i * i) for i in range(999)]).as_bytes()


def dump(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def field(name: str, kind: Any, *leaves: int, nullable: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "leaves": list(leaves), "nullable": nullable, **more}


RICH_SCHEMA = {"container": "dict", "fields": [
    field("number", "int32", 0),
    field("flag", "bool", 1, nullable=True),
    field("caption", "str", 2, nullable=True),
    field("image", {"media": {"type": "image/png"}}, 3),
    field("sound", {"media": {"type": None}}, 4, 5, nullable=True),
    field("meta", "object", 6),
    field("split", "str", 7),
    field("score", "float32", 8, numpy=True),
    field("vector", {"array": {"dtype": "float32", "shape": [3]}}, 9),
    field("pixels", {"tensor": {"dtype": "uint8", "ndim": 2}}, 10, 11),
    field("wave", {"tensor": {"dtype": "bfloat16", "ndim": 1}}, 12),
    field("any", {"tensor": {"dtype": "float64", "ndim": None}}, 13, 14),
    field("box", {"struct": [field("x", "bfloat16", 16), field("name", "str", 17)]}, 15, nullable=True),
    field("plain", {"struct": [field("z", "complex64", 18)]}),
    field("step", "int64", 300, nullable=True),
    field("nothing", {"array": {"dtype": "int8", "shape": [0]}}, 20),
    field("raw", "bytes", 21),
    field("grid", {"array": {"dtype": "uint16", "shape": [5, 8]}}, 22, nullable=True),
    field("steps", {"tensor": {"dtype": "int64", "ndim": 1}}, 23, nullable=True),
    field("ids", {"tensor": {"dtype": "int64", "ndim": 1}}, 24, list=True),
    field("corners", {"array": {"dtype": "int32", "shape": [12]}}, 25, nullable=True, list=True),
    field("when", {"timestamp": {"tz": "+02:00", "unit": "ms"}}, 26, nullable=True),
    field("exactly", {"timestamp": {"tz": None, "unit": "ns"}}, 27, numpy=True),
    field("born", "date", 28, nullable=True),
    field("kind", {"class_label": {"names": ["cat", "", "Ä\u0000\n\"", "dog"]}}, 29, nullable=True),
]}


def _columns() -> dict[int, list[bytes | None]]:
    rows = range(ROWS)
    text = [b'{"caption": "row %d of many", "source": "test"}' % (i * 7) for i in rows]
    moments = [datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), msgpack.ExtType(1, b"2020-01-02T03:04:05")]
    arrays = [msgpack.ExtType(2, msgpack.packb(body)) for body in (["int16", [2, 3], bytes(range(12))], ["str", [2], ["é", ""]], ["bool", [0, 9], b""])]
    return {
        0: [struct.pack("<i", 1000 + 37 * i) for i in rows],
        1: [None if i % 3 == 0 else bytes([i % 2]) for i in rows],
        2: [None if i == 4 else text[i] if i % 2 else b"" for i in rows],
        3: [b"\x89PNG" + bytes([i]) * (i * 9) for i in rows],
        4: [None if i == 7 else text[i] for i in rows],
        5: [None if i == 7 else b"audio/flac" for i in rows],
        6: [msgpack.packb({"row": i, "when": moments[i % 2], "list": [None, 1.5, "x", b"y"], "array": arrays[i % 3]}, datetime=True) for i in rows],
        7: [(b"train", b"test", b"")[i % 3] for i in rows],
        8: [struct.pack("<f", 0.5)] * ROWS,
        9: [struct.pack("<3f", i, -0.0, 2.5) for i in rows],
        10: [bytes(range(i * 2)) for i in rows],
        11: [struct.pack("<2I", i, 2) for i in rows],
        12: [b"\x80\x3f" * i for i in rows],
        13: [struct.pack("<2d", 1, i) for i in rows],
        14: [struct.pack("<I", 2) if i % 2 else struct.pack("<3I", 2, 1, 1) for i in rows],
        15: [None if i == 2 else b"\1" for i in rows],
        16: [b"\0\0" if i == 2 else b"\x40\x40" for i in rows],
        17: [b"" if i == 2 else "Straße".encode() for i in rows],
        18: [struct.pack("<2f", i, 1) for i in rows],
        300: [None if i in (0, 8) else struct.pack("<q", -5 + 300 * i) for i in rows],
        20: [b""] * ROWS,
        21: [bytes(30 * i) for i in rows],
        22: [None if i in (1, 6) else struct.pack("<40H", *((i % 3 > 0) * (40 + (i + k * k) % 200) for k in range(40))) for i in rows],
        23: [None if i == 5 else struct.pack(f"<{7 * i}q", *(-300 + k * k % 250 for k in range(7 * i))) for i in rows],
        24: [struct.pack(f"<{5 * i}q", *(2**40 + k * 9 % 70 for k in range(5 * i))) for i in rows],
        25: [None if i == 9 else struct.pack("<12i", *(-7 + (i + k // 6) % 40 for k in range(12))) for i in rows],
        26: [None if i in (2, 3) else struct.pack("<q", 1_600_000_000_000 + 999 * i) for i in rows],
        27: [struct.pack("<q", 2**62 - i * 7) for i in rows],
        28: [None if i == 10 else struct.pack("<i", (-719162, 2932896, 19000 + i)[i % 3]) for i in rows],
        29: [None if i == 1 else struct.pack("<q", i % 4) for i in rows],
    }


def rich() -> Plan:
    """Two groups, blocks of 4 and of 3 rows, the last ones shorter; one dictionary."""
    V, F = VARIABLE_LEAF, FIXED_LEAF
    leaves = (
        Leaf(0, F, 4), Leaf(1, F, 1, flags=NULLABLE), Leaf(2, V, dictionary=1, flags=NULLABLE | PAGE_CODED),
        Leaf(3, V, group=1), Leaf(4, V, group=1, dictionary=1, flags=NULLABLE), Leaf(5, V, group=1, flags=NULLABLE),
        Leaf(6, V, flags=PAGE_CODED), Leaf(7, V), Leaf(8, F, 4), Leaf(9, F, 12, flags=PAGE_CODED), Leaf(10, V, group=1),
        Leaf(11, F, 8, group=1), Leaf(12, V), Leaf(13, V), Leaf(14, V), Leaf(15, F, 1, flags=NULLABLE), Leaf(16, F, 2),
        Leaf(17, V), Leaf(18, F, 8), Leaf(300, F, 8, flags=NULLABLE), Leaf(20, F, 0), Leaf(21, V, group=1),
        Leaf(22, F, 80, group=1, flags=NULLABLE | PAGE_CODED), Leaf(23, V, group=1, flags=NULLABLE | PAGE_CODED),
        Leaf(24, V, flags=PAGE_CODED), Leaf(25, F, 48, group=1, flags=NULLABLE), Leaf(26, F, 8, flags=NULLABLE), Leaf(27, F, 8),
        Leaf(28, F, 4, flags=NULLABLE), Leaf(29, F, 8, flags=NULLABLE),
    )
    encodings = {
        0: Encoding(NARROW, element=4, number=2),
        2: Encoding(VAR, ZSTD, short=True, dictionary=True), (2, 1): Encoding(VAR, LZ4, dictionary=True),
        3: Encoding(VAR, short=True), 4: Encoding(VAR, ZSTD, cells=True, short=True, dictionary=True),
        (4, 1): Encoding(VAR, LZ4, cells=True, dictionary=True), 5: Encoding(CONST),
        6: Encoding(VAR, LZ4), 7: Encoding(ENUM), 8: Encoding(CONST), 9: Encoding(FIXED, ZSTD),
        15: Encoding(ENUM, code_bytes=2), (15, 1): Encoding(CONST), 300: Encoding(NARROW, element=8, number=4),
        17: Encoding(ENUM), 16: Encoding(ENUM), 21: Encoding(VAR, LZ4, cells=True), (21, 1): Encoding(VAR, ZSTD, cells=True),
        22: Encoding(FIXED, ZSTD, cells=True, short=True), (22, 1): Encoding(NARROW, LZ4, cells=True, element=2, number=1, base=0),
        (22, 2): Encoding(FIXED, LZ4, cells=True), 23: Encoding(NARROW, element=8, number=2, short=True),
        (23, 1): Encoding(NARROW, ZSTD, cells=True, element=8, number=1), (23, 2): Encoding(NARROW, LZ4, cells=True, element=8, number=4, short=True),
        24: Encoding(NARROW, ZSTD, element=8, number=1), (24, 1): Encoding(NARROW, element=8, number=2), 26: Encoding(NARROW, element=8, number=2),
        25: Encoding(NARROW, ZSTD, cells=True, short=True, element=4, number=1, base=2**32 - 7), (25, 1): Encoding(FIXED, LZ4, cells=True),
        27: Encoding(NARROW, element=8, number=1), 29: Encoding(ENUM),
        (2, 2): Encoding(VAR, ZSTD, cells=True, short=True, dictionary=True, together=3), (6, 1): Encoding(VAR, LZ4, cells=True, together=2),
        (9, 1): Encoding(FIXED, ZSTD, cells=True, together=2), (22, 3): Encoding(NARROW, LZ4, cells=True, short=True, element=2, number=1, base=0, together=3),
        (23, 3): Encoding(NARROW, ZSTD, cells=True, element=8, number=1, together=2),
    }
    return Plan(leaves, _columns(), dump(RICH_SCHEMA), (4, 3), (dictionary(),), encodings)


def schema_of_tiny() -> dict[str, Any]:
    return {"container": "tuple", "fields": [field("0", "uint16", 1), field("1", "bytes", 2, nullable=True)]}


def tiny() -> Plan:
    """Two leaves, three rows, one null: about a kilobyte."""
    leaves = (Leaf(1, FIXED_LEAF, 2), Leaf(2, VARIABLE_LEAF, flags=NULLABLE | PAGE_CODED))
    columns: dict[int, list[bytes | None]] = {1: [b"ab", b"cd", b"ef"], 2: [b"x" * 40, None, b"y"]}
    return Plan(leaves, columns, dump(schema_of_tiny()), (4,), (b"a dictionary",), {2: Encoding(VAR, ZSTD, short=True)})


def one(kind: Any, cells: list[bytes | None], how: Encoding, *, width: int | None = None, flags: int = 0, block: int = 8,
        dictionaries: tuple[bytes, ...] = (), leaf_dictionary: int = 0, nullable: bool = False) -> Plan:
    """A shard of one leaf, of type `kind`, with every page written as `how`."""
    schema = {"container": "value", "fields": [field("value", kind, 0, nullable=nullable)]}
    fixed = width is not None
    leaf = Leaf(0, FIXED_LEAF if fixed else VARIABLE_LEAF, width or 0, 0, leaf_dictionary, flags | NULLABLE * nullable)
    return Plan((leaf,), {0: cells}, dump(schema), (block,), dictionaries, {0: how})
