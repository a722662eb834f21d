"""Whether a table names the media files beside it, and in which column: told from its first rows. It reads no more of a text table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import table_format
from atlas_ds.bridge.files.tables import TableFile, read_tables
from atlas_ds.bridge.opening import open_binary
from atlas_ds.bridge.source import DEFAULTS, Refused
from atlas_ds.errors import AtlasError

ROWS = 20
SHARE = {"path": 0.5, "name": 0.5, "stem": 0.9}  # of the cells that must be names of files; in the order of their exactness
HEAD = 1 << 18
DELIMITERS = ",\t;|"
_FORM = re.compile(r"submission", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,]*")
_UNREADABLE = (AtlasError, OSError, EOFError, ValueError, RecursionError, csv.Error)


class Naming(NamedTuple):
    """table and column: where names of files stand. how: "path" (from the table's folder), "name" (in another folder), or "stem" (without the
    extension). file: the first that is named. headless: the column's own name is one of a file, so that the table has no header."""

    table: PurePosixPath
    column: str
    how: str
    file: PurePosixPath
    headless: bool = False


def find_naming(folder: Folder, tables: list[PurePosixPath], media: list[PurePosixPath]) -> Naming | None:
    """The first table and column most of whose first cells name media files; the most exact way wins, and then a table that is not called test.
    A form for submissions says nothing of them."""
    found = [naming for table in tables if not _FORM.search(table.name) for naming in [_look(folder, table, media)] if naming is not None]
    return min(found, key=lambda naming: (tuple(SHARE).index(naming.how), naming.table.name.lower().startswith("test"))) if found else None


def mentioning(folder: Folder, texts: list[PurePosixPath], media: list[PurePosixPath]) -> PurePosixPath | None:
    """The first of some other files whose beginning has the names of most of the first media files."""
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
    """The names of a table's columns, as its first rows have them; none where it cannot be read."""
    try:
        return list(dict.fromkeys(name for row, _ in zip(_rows(folder, table), range(ROWS), strict=False) for name in row if name))
    except _UNREADABLE:
        return []


def _look(folder: Folder, table: PurePosixPath, media: list[PurePosixPath]) -> Naming | None:
    try:
        rows = [row for row, _ in zip(_rows(folder, table), range(ROWS), strict=False)]
    except _UNREADABLE:
        return None  # its reader says what is wrong with it, where it is asked for
    paths = set(map(str, media))
    names = _single((file.name, file) for file in media)
    stems = _single((file.stem, file) for file in media)
    base = table.parent
    for how in SHARE:
        for column in dict.fromkeys(name for row in rows for name in row):
            cells = [str(row[column]) for row in rows if row.get(column) not in (None, "")]
            if how == "path":
                hits = [PurePosixPath(cell) for cell in cells if str(base / cell) in paths]
            else:
                known = names if how == "name" else stems
                hits = [known[last] for cell in cells if (last := PurePosixPath(cell).name) in known]
            if hits and len(hits) >= SHARE[how] * len(cells):
                return Naming(table, column, how, base / hits[0] if how == "path" else hits[0], column in paths or column in names or column in stems)
    return None


def _single(names: Iterator[tuple[str, PurePosixPath]]) -> dict[str, PurePosixPath]:
    """Names that only one file has: 1.jpg of many folders would be found in any column of numbers."""
    found: dict[str, PurePosixPath | None] = {}
    for name, file in names:
        found[name] = None if name in found else file
    return {name: file for name, file in found.items() if file is not None}


def _rows(folder: Folder, table: PurePosixPath) -> Iterator[dict[str, object]]:
    path, kind = folder.path(table), table_format(table)
    if kind in ("parquet", "arrow"):
        rows = (row for row, _ in read_tables(folder.root, kind, [TableFile(path)], DEFAULTS).examples())
        return (row for row in rows if not isinstance(row, Refused))
    with open_binary(path) as file:
        head = file.read(HEAD)
    text = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", "replace")
    lines = text.splitlines()[: ROWS + 1]
    if kind == "csv":
        delimiter = max(DELIMITERS, key=lines[0].count) if lines else ","
        return iter(list(csv.DictReader(io.StringIO("\n".join(lines)), delimiter=delimiter)))
    if text.lstrip().startswith("["):
        return _of_array(text)
    objects = (json.loads(line) for line in lines if line.strip())
    return (found for found in objects if isinstance(found, dict))


def _of_array(text: str) -> Iterator[dict[str, object]]:
    """The first objects of a JSON array; what follows a head that was cut ends it."""
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    while at < len(text):
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            yield found
