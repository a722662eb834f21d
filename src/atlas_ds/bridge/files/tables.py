"""Reads many files of one format as one table: CSV, JSON, Parquet or Arrow. Columns are matched by
name. Splits and more columns come from the names of files and folders (path_columns.py), media from
the files that a column names (media_columns.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

from atlas_ds.bridge.arrow.files import read_arrow_table, saved_files
from atlas_ds.bridge.arrow.parquet import read_parquet_table
from atlas_ds.bridge.files.csv_table import read_csv_table
from atlas_ds.bridge.files.json_table import read_json_table
from atlas_ds.bridge.files.media_columns import MediaFiles, media_specs
from atlas_ds.bridge.files.path_columns import TableFile, folder_columns, table_files
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.opening import read_head, refuse_pointer
from atlas_ds.bridge.source import DEFAULTS, Example, ReadOptions, Refused, Row, Source
from atlas_ds.errors import SchemaError

__all__ = ["TableFile", "Tables", "open_tables", "read_table", "read_tables", "source_of", "table_files"]

FORMATS: Mapping[str, Callable[[Sequence[Path], ReadOptions], Table]] = MappingProxyType(
    {"csv": read_csv_table, "jsonl": read_json_table, "parquet": read_parquet_table, "arrow": read_arrow_table}
)

@dataclass(frozen=True, slots=True)
class Tables:
    """Files as one table, after the first pass over all of them. schema: includes the columns
    from folder names; values: those columns, file by file."""

    root: Path
    format: str
    files: Sequence[TableFile]
    table: Table
    schema: Mapping[str, object]
    values: Sequence[Mapping[str, object]]

    def rows(self, media: MediaFiles | None = None) -> Iterator[tuple[TableFile, Example | Refused]]:
        """Starts a new pass over the rows, each with its file."""
        for number, file in enumerate(self.files):
            rows = self.table.rows(number)
            if self.values[number]:
                rows = _with_values(rows, self.values[number])
            if media is not None:
                rows = media.add(rows, file.path.parent, partial(self.table.place, number))
            for row in rows:
                yield file, row


def read_table(path: Path, options: ReadOptions = DEFAULTS, *, format: str) -> Source:
    """The table in one file, or in the files of a folder that Hugging Face's save_to_disk wrote."""
    files = [TableFile(*file) for file in saved_files(path, options.follow_links)] if path.is_dir() else [TableFile(path)]
    return read_tables(path if path.is_dir() else path.parent, format, files, options)


def read_tables(root: Path, format: str, files: Sequence[TableFile], options: ReadOptions = DEFAULTS) -> Source:
    """The rows of all files, one file after another, as one table. format: a key of FORMATS. root:
    files outside of it are not read.

    SchemaError names the column and both files if they do not match.
    """
    return source_of(open_tables(root, format, files, options), options)


def open_tables(root: Path, format: str, files: Sequence[TableFile], options: ReadOptions = DEFAULTS) -> Tables:
    """The first pass of read_tables."""
    if not files:
        raise SchemaError(f"{root}: no {format} files; nothing to convert")
    for file in files:
        refuse_pointer(file.path, read_head(file.path))
    table = FORMATS[format]([file.path for file in files], options)
    if not sum(table.counts):
        raise SchemaError(f"{root if len(files) > 1 else files[0].path}: columns, but no rows; nothing to convert")
    specs, values = folder_columns(root, files, table.schema)
    return Tables(root, format, files, table, {**table.schema, **specs}, values)


def source_of(tables: Tables, options: ReadOptions) -> Source:
    """The source of open tables. Of `options` it uses media and follow_links."""
    table, schema = tables.table, {**tables.schema, **media_specs(tables.files[0].path, tables.schema, options.media)}
    media = MediaFiles(tables.root, options.media, tables.schema, options.follow_links) if options.media else None

    def examples() -> Iterator[Row]:
        for file, row in tables.rows(media):
            yield row, file.split

    notes = table.notes + tuple(f"{name}: from the names of the folders ({name}=...)" for name in tables.schema if name not in table.schema)
    return Source(tables.format, examples, sum(table.counts), schema=schema if table.schema else None, notes=notes, place=_place(table))


def _with_values(rows: Iterator[Example | Refused], values: Mapping[str, object]) -> Iterator[Example | Refused]:
    for row in rows:
        yield row if isinstance(row, Refused) else {**row, **values}


def _place(table: Table) -> Callable[[int], str]:
    """The place of a row of the complete table: its file, and its place there."""
    ends = list(accumulate(table.counts))

    def place(row: int) -> str:
        number = min(bisect_right(ends, row), len(ends) - 1)
        return table.place(number, row - (ends[number - 1] if number else 0))

    return place
