"""Reads the tables of a folder as one table, through tables.py, and lists the other files.
Tables are recognized by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import extension_of, is_documentation, is_media, reason_left_out, table_format
from atlas_ds.bridge.files.tables import TableFile, read_tables, table_files
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Source
from atlas_ds.errors import SchemaError

NAMED = "media; a column that names such files is read with --media image=COLUMN"


def read_table_folder(folder: Folder, options: ReadOptions = DEFAULTS, *, format: str) -> Source:
    """All rows of the tables of this format, in the order of the files' names."""
    files = [file for file in folder.files if table_format(file) == format]
    if format == "jsonl" and not files:
        files = [file for file in folder.files if extension_of(file) == "json" and not is_documentation(file)]
    if not files:
        raise SchemaError(f"{folder.root}: no {format} file here or in a folder of it; give the folder that has them, or another --from")
    for file in files:
        if file in folder.trouble:
            raise folder.trouble[file]
    links = {name: names[0] for names in folder.same for name in names[1:]}
    files = [file for file in files if file not in links]
    kept = set(files) | set(filter(is_media, folder.files) if options.media else ())  # media that rows may name
    other = {True: NAMED, False: f"not {format}"}
    left_out = [f"{file}: {reason_left_out(file, links, other[is_media(file)])}" for file in folder.files if file not in kept]
    tables = table_files(folder.root, files)
    source = read_tables(folder.root, format, tables, options)
    notes = (*source.notes, *_notes(files, tables))
    return replace(source, notes=notes, left_out=(*source.left_out, *left_out))


def format_of_tables(folder: Folder) -> str | None:
    """The format of the folder's tables, if they have the same."""
    formats = {table_format(file) for file in folder.files} - {None}
    return formats.pop() if len(formats) == 1 else None


def _notes(files: Sequence[PurePosixPath], tables: Sequence[TableFile]) -> Iterator[str]:
    splits = Counter(table.split for table in tables if table.split)
    if splits:
        yield "splits by name: " + ", ".join(f"{name} ({count} {'file' if count == 1 else 'files'})" for name, count in splits.items())
        return
    folders = sorted({str(file.parent) for file in files if not any("=" in part for part in file.parts)})
    if len(folders) > 1:
        yield f"the names of the folders ({', '.join(folders[:5])}) are not in the rows; folders called NAME=VALUE become columns"
