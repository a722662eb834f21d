"""Reads CSV (and its kin with tabs, semicolons, bars) and JSON lines, plain or gzipped, in two passes.

The first pass settles names and types over *all* rows, so that a decimal in the last row cannot break a column of
whole numbers; the second gives the examples. Nothing but the standard library: a result that depended on whether
pyarrow is installed would be no result. Parquet is arrow/parquet.py's.
"""

from __future__ import annotations

import csv
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from atlas_ds.bridge.opening import not_utf8, open_text, unreadable
from atlas_ds.bridge.source import DEFAULTS, Example, ReadOptions, Row, Source
from atlas_ds.errors import CorruptError, SchemaError
from atlas_ds.schema.types import nullable

MAX_CELL = 1 << 30  # the format's limit for a value
DELIMITERS = (",", "\t", ";", "|")
_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})")  # "007" is a name, not a number
_FLOAT = re.compile(r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|-?inf|nan", re.IGNORECASE)
_BOOL = re.compile(r"true|false", re.IGNORECASE)
_PATTERN = {"bool": _BOOL, "int": _INT, "long": _INT, "float": _FLOAT}
_EXACT = 16  # whole numbers with fewer characters are exact as a float, too; "long" are those that may not be
_PARSE: dict[str, Callable[[str], object]] = {
    "bool": lambda cell: cell[0] in "tT",
    "int": int,
    "long": int,
    "float": float,
    "str": str,
    "null": lambda cell: None,
}


def read_csv(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Examples of a table with a header line. An empty cell is None; types are bool, int, float or str."""
    rows = _csv_rows(path)
    header = next(rows, None)
    if header is None:
        raise SchemaError(f"{path}: empty, not even a header line; nothing to convert")
    names = header[1]
    if "" in names or len(set(names)) < len(names):
        raise SchemaError(f"{path}: line 1: every column needs a name of its own, this header is {names}")
    kinds, empty, total = _infer(names, rows)
    if total == 0:
        raise SchemaError(f"{path}: a header, but no rows; nothing to convert")
    parsers = [(name, _PARSE[kind]) for name, kind in zip(names, kinds, strict=True)]

    def examples() -> Iterator[Row]:
        data = _csv_rows(path)
        next(data)
        for _, cells in data:
            yield {name: parse(cell) if cell else None for (name, parse), cell in zip(parsers, cells, strict=True)}, None

    types = ", ".join(f"{name} {'int' if kind == 'long' else kind}" for name, kind in zip(names, kinds, strict=True))
    schema = {name: _spec(kind, null) for name, kind, null in zip(names, kinds, empty, strict=True)}
    return Source("csv", examples, total, schema=schema, notes=(f"types found in the text: {types}",))


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells; every row as long as the first. Empty lines are skipped."""
    width = 0
    with _named_errors(path) as line_of, open_text(path) as file:
        first = file.readline()
        delimiter = max(DELIMITERS, key=first.count)  # the first of the tuple wins a tie
        # A process-wide setting of the csv module; only ever raised, since 128 KiB is less than a page of text.
        csv.field_size_limit(max(csv.field_size_limit(), min(MAX_CELL, sys.maxsize)))
        reader = csv.reader(chain((first,), file), delimiter=delimiter, strict=True)
        for cells in reader:
            line_of[0] = reader.line_num
            if not cells:
                continue
            width = width or len(cells)
            if len(cells) != width:
                raise SchemaError(
                    f"{path}: line {reader.line_num}: {len(cells)} cells, but the header has {width}; correct the line"
                )
            yield reader.line_num, cells


class _named_errors:
    """Turns what decoding a text file may raise into errors that name file and line (entered: a one-item list)."""

    __slots__ = ("_line", "_path")

    def __init__(self, path: Path) -> None:
        self._path, self._line = path, [0]

    def __enter__(self) -> list[int]:
        return self._line

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        place = f"after line {self._line[0]}"
        if isinstance(error, UnicodeDecodeError):
            raise not_utf8(self._path, error, place) from error
        if isinstance(error, (csv.Error, EOFError, zlib.error)) or (isinstance(error, OSError) and not error.errno):
            raise CorruptError(f"{self._path}: {place}: {error}; correct the file") from error
        if isinstance(error, OSError):
            raise unreadable(self._path, error) from error


def _spec(kind: str, null: bool) -> object:
    """The Atlas type of a column; one without any value is text."""
    spec = {"int": "int64", "long": "int64", "float": "float64", "null": "str"}.get(kind, kind)
    return nullable(spec) if null else spec


def _infer(names: list[str], rows: Iterator[tuple[int, list[str]]]) -> tuple[list[str], list[bool], int]:
    """Per column the narrowest type that holds every cell and whether some are empty; and the row count."""
    kinds, empty = ["null"] * len(names), [False] * len(names)
    total = 0
    for _, cells in rows:
        total += 1
        for i, cell in enumerate(cells):
            kind = kinds[i]
            if not cell:
                empty[i] = True
            elif kind != "str" and not _holds(kind, cell):
                kinds[i] = _widen(kind, cell)
    return kinds, empty, total


def _holds(kind: str, cell: str) -> bool:
    """True if the type can hold the cell without loss of a digit."""
    if kind == "null" or not _PATTERN[kind].fullmatch(cell):
        return False
    if kind == "int":
        return len(cell) < _EXACT
    if kind == "long":
        return len(cell) < 19 or -(1 << 63) <= int(cell) < 1 << 63
    return kind == "bool" or len(cell) < _EXACT or not cell.lstrip("-").isdigit()


def _widen(kind: str, cell: str) -> str:
    wider = {"null": ("bool", "int", "long", "float"), "int": ("long", "float")}.get(kind, ())
    return next((name for name in wider if _holds(name, cell)), "str")


def read_jsonl(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Examples of a file with one JSON object per line. A key that a line lacks is None there."""
    kinds: dict[str, set[type]] = {}
    seen: Counter[str] = Counter()
    total = 0
    for example in _json_lines(path):
        total += 1
        seen.update(example.keys())
        for key, value in example.items():
            kinds.setdefault(key, set()).add(type(value))
    if total == 0:
        raise SchemaError(f"{path}: no lines; nothing to convert")
    if not kinds:
        raise SchemaError(f"{path}: every object is empty; nothing to convert")
    for key in kinds:
        if seen[key] < total:
            kinds[key].add(type(None))
    decimal = {key for key, types in kinds.items() if types - {type(None)} == {int, float}}
    schema = {key: _json_spec(types) for key, types in kinds.items()}

    def examples() -> Iterator[Row]:
        for example in _json_lines(path):
            row: Example = {key: example.get(key) for key in kinds}
            for key in decimal:
                row[key] = _exact_float(path, key, row[key])
            yield row, None

    notes = tuple(f"{key}: whole numbers and decimals, all stored as decimals" for key in sorted(decimal))
    return Source("jsonl", examples, total, schema=schema, notes=notes)


def _exact_float(path: Path, key: str, value: object) -> object:
    if not isinstance(value, int):
        return value
    if abs(value) > 1 << 53 and (value.bit_length() > 1024 or float(value) != value):
        raise SchemaError(f"{path}: key {key!r} has decimals, and {str(value)[:40]} is too long to be one; write it as text")
    return float(value)


def _json_spec(types: set[type]) -> object:
    """The Atlas type for the types a key's values have; "object", which holds any JSON, where they are mixed or nested."""
    values = types - {type(None)}
    names = {bool: "bool", int: "int64", float: "float64", str: "str"}
    if values == {int, float}:
        spec = "float64"
    else:
        spec = names.get(next(iter(values)), "object") if len(values) == 1 else "object"
    return nullable(spec) if type(None) in types else spec


def _json_lines(path: Path) -> Iterator[Example]:
    with _named_errors(path) as line_of, open_text(path) as file:
        for number, line in enumerate(file, 1):
            line_of[0] = number
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise CorruptError(f"{path}: line {number}, column {error.colno}: not JSON: {error.msg}") from error
            except RecursionError as error:
                raise CorruptError(f"{path}: line {number}: JSON nested too deeply; flatten it") from error
            if not isinstance(value, dict):
                raise SchemaError(
                    f"{path}: line {number}: not a JSON object; write one object per line, e.g. jq -c '.[]' a.json"
                )
            yield value
