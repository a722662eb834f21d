"""Writes golden files: what this version of Atlas makes of fixed rows, and what hand.py builds, with the rows as JSON.

Run once per release: python tests/golden/make.py NAME.

It never touches files that are there: golden files are kept for ever (see README.md).
"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import hand

from atlas_ds import AtlasDatasetWriter, Media, types
from atlas_ds.schema.types import Field
from reference.builder import build, write_dataset

FILES = Path(__file__).resolve().parent / "files"


def plain(value: Any) -> Any:
    """A value as JSON that says everything about it: dtype, shape, bits."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return {"text": value.ravel().tolist(), "shape": list(value.shape)}
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str.replace("<", ""), "shape": list(value.shape), "hex": np.ascontiguousarray(value).tobytes().hex()}
    if isinstance(value, np.generic):
        return {"numpy": value.dtype.str.replace("<", ""), "hex": value.tobytes().hex()}
    if isinstance(value, Media):
        return {"media": value.type, "hex": bytes(value.data).hex()}
    if isinstance(value, bytes) and len(value) > 1000 and len(set(value)) == 1:
        return {"hex": value[:1].hex(), "times": len(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime.datetime):
        return {"time": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"day": value.isoformat()}
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, float):
        return {"float": np.float64(value).tobytes().hex()}
    if isinstance(value, complex):
        return {"complex": np.complex128(value).tobytes().hex()}
    if isinstance(value, tuple):
        return {"tuple": [plain(v) for v in value]}
    if isinstance(value, list):
        return {"list": [plain(v) for v in value]}
    return {"dict": {name: plain(v) for name, v in value.items()}}


def numbers(i: int) -> dict[str, Any]:
    bits = np.array([(i * 2654435761 + k * 40503) % 2**32 for k in range(4)], np.uint32)
    return {name: (bits % 97).astype(name)[i % 4] if name != "bool" else np.bool_(i % 2) for name in NUMPY} | {
        "nan": np.array([0x7FF8000000000000 + i], np.uint64).view(np.float64)[0], "grid": bits.reshape(2, 2), "flags": bits % 2 == 0, "z": complex(i, -0.0), "none": None if i % 3 else i, "int": i - 5,
    }  # fmt: skip


NUMPY = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]
TEXT = "the quick brown fox jumps over the lazy dog; "


def cases() -> dict[str, tuple[Any, list[Any], dict[str, Any]]]:
    """(schema, rows, writer options) by name."""
    text = [{"s": TEXT * (1 + i % 3) + str(i), "b": bytes([i % 7]) * (i * 11 % 90), "n": None if i % 4 == 1 else TEXT[: i % 40], "e": ["train", "test"][i % 2], "c": "same"} for i in range(40)]
    media = [{"one": Media(bytes(range(i * 3 % 250)), "image/png"), "any": None if i % 5 == 2 else Media(TEXT.encode() * (i % 3), ["audio/flac", "video/é"][i % 2])} for i in range(20)]
    utc = datetime.UTC
    things = [{"o": [i, None, {"k": [1.5, "é", b"x"], "t": datetime.datetime(2020, 1, 1, i, tzinfo=utc)}], "d": datetime.datetime(1969, 12, 31, 23, 59, 59, i)} for i in range(12)]
    tensors = [
        {"one": np.arange(i % 5, dtype=np.float32), "two": np.arange(i % 4 * 2, dtype=np.int16).reshape(-1, 2), "any": np.full((2,) * (i % 3), i, np.uint8), "null": None if i % 2 else np.ones((i, 1))}
        for i in range(16)
    ]  # fmt: skip
    structs = [{"a": None if i % 3 == 0 else {"x": i, "y": None if i % 2 else {"s": f"row {i}", "t": np.ones((i, 1), np.int8)}}, "b": {"z": i / 8}} for i in range(15)]
    struct_schema = {"a": types.nullable({"x": "int32", "y": types.nullable({"s": "str", "t": types.tensor("int8", 2)})}), "b": {"z": "float32"}}
    narrow = [{"u16": 60000 + i, "i32": -70000 - i, "i64": 2**62 + i * 300, "u64": 2**64 - 1 - i, "one": 7, "odd": i * i * 7919 % 251} for i in range(64)]
    narrow_schema = {"u16": "uint16", "i32": "int32", "i64": "int64", "u64": "uint64", "one": "int8", "odd": "uint8"}
    utc_day = datetime.datetime(2020, 2, 29, 12, tzinfo=utc)
    lists = [{"ints": list(range(-i, i * 20, 7)), "floats": [i / 4] * (i % 5), "bools": [k % 3 == 0 for k in range(i)], "null": None if i % 3 else [i], "three": [i, 0, -i]} for i in range(14)]
    list_schema = {"ints": list[int], "floats": list[float], "bools": list[bool], "null": types.nullable(types.list("int64")), "three": types.list("int16", 3)}
    times = [
        {"us": datetime.datetime(1969, 12, 31, 23, 59, 59, i), "utc": utc_day + datetime.timedelta(days=i), "null": None if i % 2 else datetime.datetime(1, 1, 1), "ns": np.datetime64(2**62 + i, "ns"),
         "s": datetime.datetime(9999, 12, 31, 23, 59, 59), "berlin": (utc_day + datetime.timedelta(days=30 * i)), "numpy": np.datetime64(-i, "ms"), "day": datetime.date(1 + 700 * i, 1, 31), "no_day": None}
        for i in range(14)
    ]
    offset = datetime.timezone(datetime.timedelta(hours=2))
    times = [row | {"berlin": row["berlin"].astimezone(offset)} for row in times]
    time_schema = {
        "us": types.timestamp(), "utc": types.timestamp("us", "UTC"), "null": types.nullable(types.timestamp("ms")), "ns": types.timestamp("ns"), "s": types.timestamp("s"), "berlin": types.timestamp("us", "+02:00"),
        "numpy": Field("", types.timestamp("ms"), numpy=True), "day": types.date(), "no_day": types.nullable(types.date()),
    }
    labels = [{"label": i % 3, "null": None if i % 4 == 0 else i % 2} for i in range(12)]
    label_schema = {"label": types.class_label(["cat", "dog", "é"]), "null": types.nullable(types.class_label(["no", "yes"]))}
    arrays = [{"o": {"a": np.arange(i, dtype=np.int16), "f": [np.full((2, 1), i / 2), np.array(i % 2 == 0)], "text": np.array([["a", "é"], ["", str(i)]]), "z": np.array([1 + 2j], np.complex64)}} for i in range(6)]
    halves = [{"h": i / 4, "a": np.arange(3, dtype=np.float32) - i} for i in range(10)]
    log = [{"line": f'{{"user": {i * 7919 % 1009}, "event": "click on button {i % 13}", "page": "/home/index.html"}}'} for i in range(700)]
    several = [
        {"line": row["line"], "null": None if i % 5 == 1 else TEXT[: i % 40] * 3, "grid": np.arange(16, dtype=np.int32).reshape(2, 8) // 4 + i % 9, "ids": [i % 50 + k // 3 for k in range(i % 60)], "score": i / 8}
        for i, row in enumerate(log[:90])
    ]
    several_schema = {"line": "str", "null": types.nullable("str"), "grid": types.array("int32", (2, 8)), "ids": list[int], "score": "float32"}
    return {
        "numbers": (None, [numbers(i) for i in range(24)], {"block_size": 8}),
        "numbers-scan": (None, [numbers(i) for i in range(24)], {"block_size": 8, "access": "scan"}),
        "text-none": (None, text, {"compression": "none", "block_size": 16}),
        "text-zstd": (None, text, {"compression": "zstd", "block_size": 16, "dictionary": None}),
        "text-lz4": (None, text, {"compression": "lz4", "block_size": 16}),
        "text-zstd-scan": (None, text, {"compression": "zstd", "block_size": 16, "access": "scan"}),
        "text-lz4-scan": (None, text, {"compression": "lz4", "block_size": 16, "access": "scan"}),
        "media": (None, media, {"shard_size": 9}),
        "things": (None, things, {}),
        "tensors": (None, tensors, {"block_size": 5}),
        "structs": (struct_schema, structs, {"block_size": 4}),
        "structs-scan": (struct_schema, structs, {"block_size": 4, "access": "scan"}),
        "narrow": (narrow_schema, narrow, {"block_size": 16}),
        "narrow-scan": (narrow_schema, narrow, {"block_size": 16, "access": "scan"}),
        "bfloat16": ({"h": "bfloat16", "a": types.array("bfloat16", (3,))}, halves, {}),
        "dictionary": (None, log, {}),
        "cells-of-several": (several_schema, several, {"access": "scan"}),
        "cells-of-several-lz4": (several_schema, several, {"access": "scan", "compression": "lz4"}),
        "lists": (list_schema, lists, {"block_size": 6}),
        "lists-scan": (list_schema, lists, {"block_size": 6, "access": "scan"}),
        "times": (time_schema, times, {}),
        "labels": (label_schema, labels, {}),
        "arrays-in-objects": ({"o": "object"}, arrays, {}),
        "tuple": (None, [(i, f"{i}") for i in range(5)], {}),
        "list": (None, [[i, None if i % 2 else b"x"] for i in range(5)], {}),
        "value": (None, [np.full((2, 2), i, np.uint16) for i in range(5)], {"shard_size": 2}),
        "empty": ({"a": "int64", "b": types.tensor("int8")}, [], {}),
    }


def main() -> None:
    release = sys.argv[1]
    for name, (schema, rows, options) in cases().items():
        folder = FILES / release / name
        if folder.exists():
            print(f"{folder} is there and stays")
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        with AtlasDatasetWriter(folder, schema=schema, metadata={"golden": name}, workers=0, **options) as writer:
            for i, row in enumerate(rows):
                writer.add_example(row, split=None if name != "tuple" else ["a", "b"][i % 2])
        (folder / ".atlas.lock").unlink()
        expect(folder, rows)
    for name, (plan, described, found) in hand.cases().items():
        folder = FILES / release / name
        if folder.exists():
            print(f"{folder} is there and stays")
            continue
        folder.mkdir(parents=True)
        write_dataset(folder, [build(plan)], described, metadata={"golden": name})
        expect(folder, found)


def expect(folder: Path, rows: list[Any]) -> None:
    (folder / "expected.json").write_text(json.dumps(expected_of(rows), ensure_ascii=False, separators=(",", ":")))


def expected_of(rows: list[Any]) -> dict[str, Any]:
    return {"rows": len(rows), "first": [plain(row) for row in rows[:50]]}


if __name__ == "__main__":
    main()
