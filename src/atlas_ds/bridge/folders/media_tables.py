"""Finds out whether a table names the media files next to it, and in which column. It reads only
the first rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from atlas_ds.bridge.arrow.files import first_rows as of_arrow
from atlas_ds.bridge.arrow.parquet import first_rows as of_parquet
from atlas_ds.bridge.files.csv_rows import Cells, csv_batches, open_csv
from atlas_ds.bridge.files.json_rows import open_json
from atlas_ds.bridge.files.json_table import objects
from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import table_format
from atlas_ds.bridge.files.text_files import text_file
from atlas_ds.bridge.opening import open_binary
from atlas_ds.bridge.source import DEFAULTS, Refused
from atlas_ds.errors import AtlasError

ROWS = 20
SHARE = {"path": 0.5, "name": 0.5, "stem": 0.9}  # the share of cells that must be file names; the most exact way first
HEAD = 1 << 18
ARROW: Mapping[str | None, Callable[[Path, int], list[dict[str, Any]]]] = {"parquet": of_parquet, "arrow": of_arrow}
_FORM = re.compile(r"submission", re.IGNORECASE)
_UNREADABLE = (AtlasError, OSError, ValueError, RecursionError)


class Naming(NamedTuple):
    """table and column: where the file names are. how: "path" (relative to the table's folder),
    "name" (in another folder), or "stem" (without the extension). file: the first named file.
    headless: the column's own name is a file's, so the table has no header."""

    table: PurePosixPath
    column: str
    how: str
    file: PurePosixPath
    headless: bool = False


def find_naming(folder: Folder, tables: list[PurePosixPath], media: list[PurePosixPath]) -> Naming | None:
    """The first table and column most of whose first cells name media files. The most exact way
    wins, then a table that is not called test. Forms for submissions are ignored."""
    names, stems = _single((file.name, file) for file in media), _single((file.stem, file) for file in media)
    ways = {"path": {str(file): file for file in media}, "name": names, "stem": stems}
    found = [naming for table in tables if not _FORM.search(table.name) for naming in [_look(folder, table, ways)] if naming is not None]
    return min(found, key=lambda naming: (tuple(SHARE).index(naming.how), naming.table.name.lower().startswith("test"))) if found else None


def mentioning(folder: Folder, texts: list[PurePosixPath], media: list[PurePosixPath]) -> PurePosixPath | None:
    """The first text whose beginning contains the names of many of the first and last media
    files."""
    names = [file.name.encode() for file in media[:ROWS]] + [file.name.encode() for file in media[-ROWS:]]
    for text in texts[:ROWS]:
        try:
            with open_binary(folder.path(text)) as file:
                head = file.read(HEAD)
        except _UNREADABLE:
            continue
        if 4 * sum(name in head for name in names) >= len(names):
            return text
    return None


def columns_of(folder: Folder, table: PurePosixPath) -> list[str]:
    """The names of a table's columns, from its first rows; none if it cannot be read."""
    try:
        return list(dict.fromkeys(name for row in _first_rows(folder, table) for name in row if name))
    except _UNREADABLE:
        return []


def _look(folder: Folder, table: PurePosixPath, ways: Mapping[str, Mapping[str, PurePosixPath]]) -> Naming | None:
    """ways: for each of SHARE, a mapping from cell values to the files they name."""
    try:
        rows = _first_rows(folder, table)
    except _UNREADABLE:
        return None  # if the table is used, its reader reports the error
    for how, known in ways.items():
        for column in dict.fromkeys(name for row in rows for name in row):
            cells = [str(row[column]) for row in rows if row.get(column) not in (None, "")]
            said = [str(table.parent / cell) if how == "path" else PurePosixPath(cell).name for cell in cells]
            hits = [known[name] for name in said if name in known]
            if hits and len(hits) >= SHARE[how] * len(cells):
                return Naming(table, column, how, hits[0], any(column in files for files in ways.values()))
    return None


def _single(names: Iterator[tuple[str, PurePosixPath]]) -> dict[str, PurePosixPath]:
    """Names that only one file has: names like 1.jpg in many folders would match any column of
    numbers."""
    found: dict[str, PurePosixPath | None] = {}
    for name, file in names:
        found[name] = None if name in found else file
    return {name: file for name, file in found.items() if file is not None}


def _first_rows(folder: Folder, table: PurePosixPath) -> list[dict[str, Any]]:
    path, kind = folder.path(table), table_format(table)
    if kind in ARROW:
        return ARROW[kind](path, ROWS)
    text = replace(text_file(path, DEFAULTS), careful=True)  # lines in another encoding are skipped here; the reader reports them
    if kind == "csv":
        file = open_csv(text)
        batches = csv_batches(file) if file is not None else iter(())
        rows = (dict(zip(file.names, row, strict=True)) for batch in batches if file is not None and isinstance(batch, Cells) for row in batch.rows)
        return list(islice(rows, ROWS))
    found = open_json(text)
    return list(islice((row for row in objects(found) if not isinstance(row, Refused)), ROWS)) if found is not None else []
