"""Reads Hugging Face's imagefolders and audiofolders: media, and tables called metadata whose
column file_name names the file of each row.

metadata.csv, .jsonl or .parquet is at the top, or in each split's or class's folder; names are
relative to the table's folder. Rows keep the table's order; a column x_file_name becomes a column
x. Media that no row names are left out and listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from atlas_ds.bridge.files.classes import FILE_NAME
from atlas_ds.bridge.files.listing import Folder
from atlas_ds.bridge.files.media_columns import MediaFiles
from atlas_ds.bridge.files.roles import is_media, is_metadata, reason_left_out, table_format
from atlas_ds.bridge.files.split_folders import split_name, split_place
from atlas_ds.bridge.files.tables import TableFile, Tables, open_tables, source_of
from atlas_ds.bridge.folders.media_tables import columns_of
from atlas_ds.bridge.source import DEFAULTS, Example, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.specs import class_label

SUFFIX = "_" + FILE_NAME
OTHER = {True: "no row names it", False: "neither media nor metadata"}  # whether a file that is left out is media -> the reason


def is_of_media(folder: Folder, file: PurePosixPath) -> bool:
    """Whether a table has a column of file names."""
    return any(_new_column(name) is not None for name in columns_of(folder, file))


def _new_column(name: str) -> str | None:
    if name == FILE_NAME:
        return ""
    return name[: -len(SUFFIX)] if name.endswith(SUFFIX) and name != SUFFIX else None


def read_imagefolder(folder: Folder, options: ReadOptions = DEFAULTS) -> Source:
    """One row for each row of the tables, with the media file it names."""
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
    tables = open_tables(folder.root, formats[0], [TableFile(folder.path(file)) for file in metadata], options)
    named_files = [_base(folder, file) / str(row[name]) for file, row in tables.rows() if not isinstance(row, Refused) for name in _names_of(row, columns)]
    return _joined(folder, tables, replace(options, media=columns), named_files, metadata)


def _base(folder: Folder, file: TableFile) -> PurePosixPath:
    """The folder of a table; names in the table are relative to it."""
    return PurePosixPath(file.path.parent.relative_to(folder.root))


def _names_of(row: Example, columns: Mapping[str, str]) -> list[str]:
    """The columns of file names that have a value in a row."""
    return [name for name in columns.values() if row.get(name) is not None]


def _media_columns(folder: Folder, metadata: list[PurePosixPath], media: list[PurePosixPath]) -> dict[str, str]:
    """New column -> column of file names."""
    kinds = {kind_of(file.suffix[1:]) for file in media}
    kind = str(kinds.pop()) if len(kinds) == 1 else "media"
    found = {(_new_column(name) or kind): name for name in columns_of(folder, metadata[0]) if _new_column(name) is not None}
    if not found:
        raise SchemaError(f"{folder.path(metadata[0])}: no column {FILE_NAME}, which names the file of each row; add it, or use --from classes")
    return found


def _joined(folder: Folder, tables: Tables, options: ReadOptions, named_files: list[PurePosixPath], metadata: list[PurePosixPath]) -> Source:
    """The source with splits, names relative to the top folder, and labels if each class has its
    own table. named_files: the files that rows name."""
    source = source_of(tables, options)
    media = MediaFiles(folder.root, options.media, tables.schema, options.follow_links)
    schema: dict[str, Any] = dict(source.schema) if isinstance(source.schema, Mapping) else {}
    place = split_place(named_files)
    level = 0 if place is None else place + 1
    labels = "label" not in schema and len(metadata) > 1 and all(len(file.parts) == level + 2 for file in metadata)
    classes = sorted({file.parts[level] for file in metadata}) if labels else []
    numbers = {name: number for number, name in enumerate(classes)}
    keep = options.keep_names is not False and FILE_NAME in schema
    if not keep:
        schema.pop(FILE_NAME, None)

    def examples() -> Iterator[Row]:
        for file, row in tables.rows(media):
            if isinstance(row, Refused):
                yield row, None
                continue
            base = _base(folder, file)
            name = row.pop(FILE_NAME, None)
            path = base if name is None else base / str(name)
            if labels:
                row["label"] = numbers[base.parts[level]]
            if keep:
                row[FILE_NAME] = None if name is None else str(path)
            yield row, None if place is None else split_name(path.parts[place])

    if labels:
        schema["label"] = class_label(classes)
    readable = set(folder.files) - set(folder.trouble)
    missing = [str(folder.trouble.get(file) or f"{folder.path(file)}: no such file, but a row names it") for file in named_files if file not in readable]
    known = set(named_files) | set(metadata)
    links = {name: kept for names in folder.same for kept in names if kept in known for name in names if name not in known}
    left_out = [f"{file}: {reason_left_out(file, links, OTHER[is_media(file)])}" for file in folder.files if file not in known]
    notes = list(source.notes)
    if place is not None:
        notes.append(f"splits by folder: {', '.join(sorted({split_name(file.parts[place]) for file in named_files}))}")
    if labels:
        notes.append(f"a table per class folder: {len(classes)} classes, whose names the schema holds")
    return replace(
        source, format="imagefolder", examples=examples, schema=schema, notes=tuple(notes), left_out=tuple(left_out), refused=tuple(missing)
    )
