"""Golden datasets that no writer makes: legal forms that the writer of 2.0 has no use for, written by the builder of tests/reference.

Each is a dataset of one shard: a `Plan`, the schema, and the rows that a reader has to find in it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from reference import sample
from reference.builder import Encoding, Leaf, Plan, make_cell, pack
from reference.wire import FIXED, FIXED_LEAF, LZ4, NARROW, NULLABLE, PAGE_CODED, VAR, VARIABLE_LEAF, ZSTD

Case = tuple[Plan, dict[str, Any], list[Any]]
TEXT = [b'{"caption": "row %d of many", "source": "test"}' % (i * 7) for i in range(8)]
RAW_DICTIONARY = b'{"caption": "row 1 of many", "source": "test"}'  # no magic number: bytes to refer to, for both codecs


def dictionaries() -> Case:
    """Pages and cells of both codecs, with a formatted dictionary and with one of raw content."""
    names = ["lz4_page", "lz4_cells", "zstd_page", "zstd_cells", "lz4_frame", "zstd_frame"]
    codecs = [LZ4, LZ4, ZSTD, ZSTD, LZ4, ZSTD]
    leaves, columns, encodings, fields = [], {}, {}, []
    for id, (name, codec) in enumerate(zip(2 * names, 2 * codecs, strict=True)):
        cells, number = not name.endswith("page"), 1 + id // 6
        leaves.append(Leaf(id, VARIABLE_LEAF, dictionary=number, flags=NULLABLE | PAGE_CODED * (not cells)))
        columns[id] = [None if i == id % 8 else TEXT[i] for i in range(8)]
        encodings[id] = Encoding(VAR, codec, cells=cells, short=id % 2 == 0, dictionary=True)
        fields.append(sample.field(f"{name}_{number}", "bytes", id, nullable=True))

    def patch(name: str, key: tuple[Any, ...], value: Any) -> Any:
        """The cells of some columns as frames, though a block would do."""
        if name != "cell" or not value or key[2] % 6 < 4:
            return value
        text, codec = TEXT[key[1] * 4 + key[3]], LZ4 if key[2] % 6 == 4 else ZSTD
        packed = pack(codec, text, [sample.dictionary(), RAW_DICTIONARY][key[2] // 6])
        return struct.pack("<HBI", 0, 1, len(text)) + (packed if codec == LZ4 else packed[4:])

    schema = {"container": "dict", "fields": fields}
    plan = Plan(tuple(leaves), columns, sample.dump(schema), (4,), (sample.dictionary(), RAW_DICTIONARY), encodings, patch=patch)
    return plan, schema, [{field["name"]: columns[id][i] for id, field in enumerate(fields)} for i in range(8)]


def cells() -> Case:
    """Cells of variable and fixed leaves in each of their forms: block, one byte repeated, raw, frame, empty."""
    values = [b"a" * 300, b"b", b"", bytes(range(60)), None, b"c" * 255, b"d" * 256, b"e" * 70_000]
    arrays = [[0] * 40, [7] * 40, list(range(40)), [k * k % 251 for k in range(40)], None, [0] * 39 + [1], [200] * 40, [k * 977 % 65_521 for k in range(40)]]
    blobs = [None if row is None else struct.pack("<40H", *row) for row in arrays]
    empty = [b""] * 8
    names = ["var_zstd", "var_lz4", "fixed_zstd", "fixed_lz4", "nothing"]
    kinds = ["bytes", "bytes", *[{"array": {"dtype": "uint16", "shape": [5, 8]}}] * 2, {"array": {"dtype": "int8", "shape": [0]}}]
    codecs = [ZSTD, LZ4, ZSTD, LZ4, ZSTD]
    columns: dict[int, Sequence[bytes | None]] = {0: values, 1: values, 2: blobs, 3: blobs, 4: empty}
    leaves = [Leaf(id, FIXED_LEAF if id > 1 else VARIABLE_LEAF, (0, 0, 80, 80, 0)[id], flags=NULLABLE * (id < 4)) for id in range(5)]
    encodings = {id: Encoding(FIXED if id > 1 else VAR, codec, cells=True, short=id == 2) for id, codec in enumerate(codecs)}

    def patch(name: str, key: tuple[Any, ...], value: Any) -> Any:
        """One byte repeated is the cell that zstd makes of it, whatever its version; one zero value is written in full."""
        if name != "cell":
            return value
        row = key[1] * 4 + key[3]
        if key[2] == 0 and row in (0, 5, 6):
            return struct.pack("<H", len(values[row] or b"")) + (values[row] or b"")[:1]
        return make_cell(LZ4, bytes(80), b"") if key[2] == 3 and row == 0 else value

    fields = [sample.field(name, kind, id, nullable=id < 4) for id, (name, kind) in enumerate(zip(names, kinds, strict=True))]
    schema = {"container": "dict", "fields": fields}
    plan = Plan(tuple(leaves), columns, sample.dump(schema), (4,), (), encodings, patch=patch)
    grids = [None if row is None else np.array(row, np.uint16).reshape(5, 8) for row in arrays]
    rows = [{"var_zstd": values[i], "var_lz4": values[i], "fixed_zstd": grids[i], "fixed_lz4": grids[i], "nothing": np.zeros(0, np.int8)} for i in range(8)]
    return plan, schema, rows


def narrow() -> Case:
    """NARROW pages of fixed and variable leaves, in place, by offsets, in cells, and as a whole; base 0, and sums that wrap."""
    short = [[], [5], [2**64 - 1, 0, 1], list(range(90)), None, [7] * 50, [0, 0], [200] * 3]
    fixed = [None if i == 4 else [(2**16 - 3 + (i * k) % 200) % 2**16 for k in range(6)] for i in range(8)]
    small = [None if i == 2 else [i * k % 250 for k in range(4)] for i in range(8)]
    wide = {"tensor": {"dtype": "uint64", "ndim": 1}}
    forms = [
        ("var", wide, short, Encoding(NARROW, element=8, number=2, base=2**64 - 1)),
        ("var_short", wide, short, Encoding(NARROW, element=8, number=4, base=2**64 - 1, short=True)),
        ("var_cells", wide, short, Encoding(NARROW, ZSTD, cells=True, element=8, number=1, base=2**64 - 1)),
        ("var_cells_lz4", wide, short, Encoding(NARROW, LZ4, cells=True, element=8, number=2, base=2**64 - 1, short=True)),
        ("var_page", wide, short, Encoding(NARROW, ZSTD, element=8, number=1, base=2**64 - 1)),
        ("fixed", {"array": {"dtype": "uint16", "shape": [6]}}, fixed, Encoding(NARROW, element=2, number=1, base=2**16 - 3)),
        ("fixed_cells", {"array": {"dtype": "uint16", "shape": [6]}}, fixed, Encoding(NARROW, ZSTD, cells=True, element=2, number=1, base=2**16 - 3)),
        ("zero", {"array": {"dtype": "int64", "shape": [4]}}, small, Encoding(NARROW, LZ4, cells=True, element=8, number=1, base=0)),
        ("zero_page", {"array": {"dtype": "int64", "shape": [4]}}, small, Encoding(NARROW, LZ4, element=8, number=1, base=0)),
        ("halves", {"array": {"dtype": "int64", "shape": [4]}}, small, Encoding(NARROW, element=4, number=2, base=0)),
    ]  # fmt: skip
    leaves, columns, encodings, fields = [], {}, {}, []
    dtypes = {"var": np.uint64, "fix": np.uint16}
    rows: list[dict[str, Any]] = [{} for _ in range(8)]
    for id, (name, kind, values, how) in enumerate(forms):
        dtype = dtypes.get(name[:3], np.int64)
        arrays = [None if row is None else np.array(row, dtype) for row in values]
        for row, array in zip(rows, arrays, strict=True):
            row[name] = array
        columns[id] = [None if array is None else array.tobytes() for array in arrays]
        width = 0 if name.startswith("var") else dtype().itemsize * (6 if dtype is np.uint16 else 4)
        leaves.append(Leaf(id, FIXED_LEAF if width else VARIABLE_LEAF, width, flags=NULLABLE | PAGE_CODED * name.endswith("page")))
        encodings[id] = how
        fields.append(sample.field(name, kind, id, nullable=True))
    schema = {"container": "dict", "fields": fields}
    return Plan(tuple(leaves), columns, sample.dump(schema), (4,), (), encodings), schema, rows


def several() -> Case:
    """Cells of several values, of each layout and codec: a last cell with fewer, cells of no bytes, nulls, one cell for a whole page."""
    texts = [b"abc" * 30, None, b"", b"d" * 300, b"", None, b"", b"", b"e" * 70, bytes(range(40)), b"f", b"g" * 200]
    grids = [[0] * 12, None, [0] * 12, list(range(12)), [7] * 12, [5] * 12, None, None, [1] * 12, [k * k for k in range(12)], [9] * 12, [0] * 11 + [1]]
    lists = [[5] * 40, [], None, [2**64 - 1, 0, 1], list(range(90)), [7] * 50, [], [], [0, 0], None, [200] * 3, [1]]
    tensor, array = {"tensor": {"dtype": "uint64", "ndim": 1}}, {"array": {"dtype": "uint16", "shape": [12]}}
    forms = [
        ("zstd", "bytes", texts, Encoding(VAR, ZSTD, cells=True, together=2)),
        ("lz4", "bytes", texts, Encoding(VAR, LZ4, cells=True, short=True, together=3)),
        ("zstd_dictionary", "bytes", texts, Encoding(VAR, ZSTD, cells=True, short=True, dictionary=True, together=4)),
        ("all", "bytes", texts, Encoding(VAR, ZSTD, cells=True, together=65_535)),
        ("list_zstd", tensor, lists, Encoding(NARROW, ZSTD, cells=True, element=8, number=1, base=2**64 - 1, together=2)),
        ("list_lz4", tensor, lists, Encoding(NARROW, LZ4, cells=True, element=8, number=2, base=2**64 - 1, short=True, together=5)),
        ("array_zstd", array, grids, Encoding(FIXED, ZSTD, cells=True, together=3)),
        ("array_lz4", array, grids, Encoding(FIXED, LZ4, cells=True, short=True, together=2)),
        ("narrow_zstd", array, grids, Encoding(NARROW, ZSTD, cells=True, element=2, number=1, base=0, together=4)),
        ("narrow_lz4", array, grids, Encoding(NARROW, LZ4, cells=True, short=True, element=2, number=1, base=0, together=2)),
    ]  # fmt: skip
    leaves, columns, fields = [], {}, []
    rows: list[dict[str, Any]] = [{} for _ in texts]
    for id, (name, kind, values, how) in enumerate(forms):
        found = values if kind == "bytes" else [None if row is None else np.array(row, np.uint64 if kind is tensor else np.uint16) for row in values]
        for row, value in zip(rows, found, strict=True):
            row[name] = value
        columns[id] = [value.tobytes() if isinstance(value, np.ndarray) else value for value in found]
        width = 24 if kind is array else 0
        leaves.append(Leaf(id, FIXED_LEAF if width else VARIABLE_LEAF, width, dictionary=int(how.dictionary), flags=NULLABLE | PAGE_CODED))
        fields.append(sample.field(name, kind, id, nullable=True))
    encodings = {id: how for id, (_, _, _, how) in enumerate(forms)}
    schema = {"container": "dict", "fields": fields}
    return Plan(tuple(leaves), columns, sample.dump(schema), (5,), (sample.dictionary(),), encodings), schema, rows


def cases() -> dict[str, Case]:
    return {"hand-dictionaries": dictionaries(), "hand-cells": cells(), "hand-narrow": narrow(), "hand-several": several()}
