"""Reads Hugging Face's imagefolders and audiofolders: media, and tables called metadata whose column file_name says which file a row is of.

metadata.csv, .jsonl or .parquet lies at the top, or in each split's or class's folder; names start from the table's own folder. Rows come in the
table's order; a column x_file_name becomes a column x. Media that no row names are left out and listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from atlas_ds.bridge.files.classes import FILE_NAME
from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.roles import is_media, is_metadata, is_paper, table_format
from atlas_ds.bridge.files.split_folders import split_name, split_place
from atlas_ds.bridge.files.tables import TableFile, read_tables
from atlas_ds.bridge.folders.naming import columns_of
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.errors import SchemaError

SUFFIX = "_" + FILE_NAME
FOLDER = "__folder__"  # for the time of reading: the folder of the row's table


def is_of_media(folder: Folder, file: PurePosixPath) -> bool:
    """Whether such a table has a column of file names."""
    return any(_new_column(name) is not None for name in columns_of(folder, file))


def _new_column(name: str) -> str | None:
    if name == FILE_NAME:
        return ""
    return name[: -len(SUFFIX)] if name.endswith(SUFFIX) and name != SUFFIX else None


def read_imagefolder(folder: Folder, options: ReadOptions = DEFAULTS) -> Source:
    """A row per row of the tables, with the media file it names."""
    metadata = [file for file in folder.files if is_metadata(file)]
    formats = sorted({str(table_format(file)) for file in metadata})
    if len(formats) != 1:
        raise SchemaError(f"{folder.root}: {'no file' if not formats else 'files of several formats'} called metadata.csv, .jsonl or .parquet;"
                          " write one with a column file_name, or use --from classes")  # fmt: skip
    for file in metadata:
        if file in folder.trouble:
            raise folder.trouble[file]
    named = [file for file in folder.files if is_media(file)]
    columns = _media_columns(folder, metadata, named)
    plain = read_tables(folder.root, formats[0], [TableFile(folder.path(file), None, {FOLDER: f"./{file.parent}"}) for file in metadata], options)
    told = _told(plain, list(columns.values()))
    tables = [TableFile(folder.path(file), None, {FOLDER: f"./{file.parent}"}) for file in metadata]
    source = read_tables(folder.root, formats[0], tables, replace(options, media=columns))
    return _joined(folder, source, options, told, metadata)


def _media_columns(folder: Folder, metadata: list[PurePosixPath], media: list[PurePosixPath]) -> dict[str, str]:
    """New column -> column of file names."""
    kinds = {kind_of(file.suffix[1:]) for file in media}
    kind = str(kinds.pop()) if len(kinds) == 1 else "media"
    found = {(_new_column(name) or kind): name for name in columns_of(folder, metadata[0]) if _new_column(name) is not None}
    if not found:
        raise SchemaError(f"{folder.path(metadata[0])}: no column {FILE_NAME}, which names the file of each row; add it, or use --from classes")
    return found


def _told(plain: Source, columns: list[str]) -> list[PurePosixPath]:
    """All files that rows name."""
    out = []
    for row, _ in plain.examples():
        if not isinstance(row, Refused):
            out += [_path(row, row[column]) for column in columns if row.get(column) is not None]
    return out


def _path(row: Mapping[str, object], name: object) -> PurePosixPath:
    return PurePosixPath(str(row[FOLDER])) / str(name)


def _joined(folder: Folder, source: Source, options: ReadOptions, told: list[PurePosixPath], metadata: list[PurePosixPath]) -> Source:
    """The source with splits, names from the top of the folder, and labels where each class has a table of its own."""
    schema: dict[str, Any] = dict(source.schema) if isinstance(source.schema, Mapping) else {}
    schema.pop(FOLDER, None)
    place = split_place(told)
    level = 0 if place is None else place + 1
    labels = "label" not in schema and len(metadata) > 1 and all(len(file.parts) == level + 2 for file in metadata)
    classes = sorted({file.parts[level] for file in metadata}) if labels else []
    keep = options.keep_names is not False and FILE_NAME in schema
    if not keep:
        schema.pop(FILE_NAME, None)

    def examples() -> Iterator[Row]:
        for row, _ in source.examples():
            if isinstance(row, Refused):
                yield row, None
                continue
            base = PurePosixPath(str(row.pop(FOLDER)))
            name = row.pop(FILE_NAME, None)
            path = base if name is None else base / str(name)
            if labels:
                row["label"] = classes.index(base.parts[level])
            if keep:
                row[FILE_NAME] = None if name is None else str(path)
            yield row, None if place is None else split_name(path.parts[place])

    if labels:
        schema["label"] = "int64"
    readable = set(folder.files) - set(folder.trouble)
    missing = [str(folder.trouble.get(file) or f"{folder.path(file)}: no such file, but a row names it") for file in told if file not in readable]
    known = set(told) | set(metadata)
    again = {name: kept for names in folder.same for kept in names if kept in known for name in names if name not in known}
    left_out = [f"{file}: {_reason(file, again)}" for file in folder.files if file not in known]
    meta = dict(source.metadata) | ({"classes": classes} if labels else {})
    notes = [note for note in source.notes if FOLDER not in note]
    if place is not None:
        notes.append(f"splits by folder: {', '.join(sorted({split_name(file.parts[place]) for file in told}))}")
    if labels:
        notes.append(f"a table per class folder: {len(classes)} classes, the label is the place of the name in metadata['classes']")
    return replace(
        source, format="imagefolder", examples=examples, schema=schema, metadata=meta, notes=tuple(notes), left_out=tuple(left_out), refused=tuple(missing)
    )


def _reason(file: PurePosixPath, again: Mapping[PurePosixPath, PurePosixPath]) -> str:
    if file in again:
        return f"the same file as {again[file]}, by a link"
    if is_paper(file):
        return "about the data"
    return "no row names it" if is_media(file) else "neither media nor metadata"
