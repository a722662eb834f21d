"""Reads many files of one format as one table: CSV, JSON, Parquet or Arrow. Columns are matched by name; splits and further columns come from names
of files and folders (table_names.py), media from the files that a column names (media_columns.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from atlas_ds.bridge.arrow.files import read_arrow_table, saved_files
from atlas_ds.bridge.arrow.parquet import read_parquet_table
from atlas_ds.bridge.files.csv_table import read_csv_table
from atlas_ds.bridge.files.folder import list_files
from atlas_ds.bridge.files.json_table import read_json_table
from atlas_ds.bridge.files.media_columns import MediaFiles, media_specs
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.files.table_names import TableFile, folder_columns, table_files
from atlas_ds.bridge.opening import read_head, refuse_pointer
from atlas_ds.bridge.source import DEFAULTS, Example, ReadOptions, Refused, Row, Source
from atlas_ds.errors import SchemaError

__all__ = ["TableFile", "read_table", "read_tables", "table_files"]

FORMATS: Mapping[str, Callable[[Sequence[Path], ReadOptions], Table]] = MappingProxyType(
    {"csv": read_csv_table, "jsonl": read_json_table, "parquet": read_parquet_table, "arrow": read_arrow_table}
)
SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"csv": (".csv", ".tsv"), "jsonl": (".jsonl", ".ndjson", ".json"), "parquet": (".parquet",), "arrow": (".arrow", ".feather")}
)


def read_table(path: Path, options: ReadOptions = DEFAULTS, *, format: str) -> Source:
    """The table in one file, or in all files of a folder that have the format's suffix, in the order of their names."""
    if not path.is_dir():
        return read_tables(path.parent, format, [TableFile(path)], options)
    files = [TableFile(*file) for file in saved_files(path, options.follow_links)] if format == "arrow" else []
    if not files:
        found = [file for file in list_files(path) if PurePosixPath(file.name.removesuffix(".gz")).suffix.lower() in SUFFIXES[format]]
        files = table_files(path, found)
    if not files:
        raise SchemaError(f"{path}: no file with the suffix {' or '.join(SUFFIXES[format])}; nothing to convert")
    return read_tables(path, format, files, options)


def read_tables(root: Path, format: str, files: Sequence[TableFile], options: ReadOptions = DEFAULTS) -> Source:
    """The rows of all files, one file after another, as one table. format: a key of FORMATS. root: files outside of it are not read.

    SchemaError names the column and both files where they do not go together.
    """
    for file in files:
        refuse_pointer(file.path, read_head(file.path))
    table = FORMATS[format]([file.path for file in files], options)
    if not sum(table.counts):
        raise SchemaError(f"{root if len(files) > 1 else files[0].path}: columns, but no rows; nothing to convert")
    specs, values = folder_columns(root, files, table.schema)
    schema = {**table.schema, **specs}
    schema |= media_specs(files[0].path, schema, options.media)
    media = MediaFiles(root, options.media, options.follow_links)

    def examples() -> Iterator[Row]:
        for number, file in enumerate(files):
            rows = table.rows(number)
            if values[number]:
                rows = _with_values(rows, values[number])
            if options.media:
                rows = media.add(rows, file.path.parent, _place_in(table, number))
            split = file.split
            for row in rows:
                yield row, split

    notes = table.notes + tuple(f"{name}: from the names of the folders ({name}=...)" for name in specs)
    return Source(
        format, examples, sum(table.counts), schema=schema if table.schema else None, metadata=table.metadata, notes=notes, place=_place(table)
    )


def _with_values(rows: Iterator[Example | Refused], values: Mapping[str, object]) -> Iterator[Example | Refused]:
    for row in rows:
        yield row if isinstance(row, Refused) else {**row, **values}


def _place_in(table: Table, number: int) -> Callable[[int], str]:
    return lambda row: table.place(number, row)


def _place(table: Table) -> Callable[[int], str]:
    """The place of a row of the whole table: its file, and where it is there."""
    ends = list(accumulate(table.counts))

    def place(row: int) -> str:
        number = min(bisect_right(ends, row), len(ends) - 1)
        return table.place(number, row - (ends[number - 1] if number else 0))

    return place
