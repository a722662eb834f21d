"""Reads Parquet, one file or a folder of them, batch by batch through pyarrow (an extra, imported where it is needed).

What its columns become is types.py's. CSV and JSON lines are files/text_tables.py's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from atlas_ds.bridge.arrow.types import plan
from atlas_ds.bridge.files.folder import SPLIT_NAMES
from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError

BATCH_ROWS = 1024


def read_parquet(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Examples of a file, or of all .parquet files of a folder in the order of their names."""
    pq = _pyarrow(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    schema, total = None, 0
    full: set[str] | None = None  # columns without a null in any file
    for file in files:
        with _open(pq, file) as table:
            total += int(table.metadata.num_rows)
            schema = schema if schema is not None else table.schema_arrow
            if not table.schema_arrow.equals(schema):
                raise SchemaError(f"{file}: its columns differ from those of {files[0].name}; convert it on its own")
            full = _full_columns(table) if full is None else full & _full_columns(table)
    if schema is None or total == 0 or not schema.names:
        raise SchemaError(f"{path}: no rows; nothing to convert")
    planned = plan(path, schema, full or set())
    splits = {file: _split_name(file, files) for file in files}

    def examples() -> Iterator[Row]:
        for file in files:
            for batch in _batches(pq, file):
                for example in planned.rows(batch):
                    yield example, splits[file]

    return Source("parquet", examples, total, schema=planned.schema, metadata=planned.metadata, notes=planned.notes)


def _pyarrow(path: Path) -> ModuleType:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise AtlasError(f"{path}: reading Parquet needs pyarrow; install it: pip install 'atlas-ds[tables]'") from error
    module: ModuleType = pq
    return module


def _open(pq: ModuleType, path: Path) -> Any:
    import pyarrow as pa

    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise CorruptError(f"{path}: not a readable Parquet file: {error}; fetch or write it again") from error
    except OSError as error:
        raise _torn(path, error) from error


def _torn(path: Path, error: OSError) -> AtlasError:
    if error.errno is None:  # Arrow's own complaint about bytes, not the system's about the file
        return CorruptError(f"{path}: not a readable Parquet file: {error}; fetch or write it again")
    return unreadable(path, error)


def _batches(pq: ModuleType, path: Path) -> Iterator[Any]:
    import pyarrow as pa

    with _open(pq, path) as table:
        batches = table.iter_batches(batch_size=BATCH_ROWS)
        while True:
            try:
                batch = next(batches, None)
            except pa.ArrowInvalid as error:
                raise CorruptError(f"{path}: a damaged page: {error}; fetch or write the file again") from error
            except OSError as error:
                raise _torn(path, error) from error
            if batch is None:
                return
            yield batch


def _split_name(file: Path, files: list[Path]) -> str | None:
    """"train" for train-00000-of-00002.parquet, if every file is named so."""
    words = [re.split(r"[-_.]", other.name)[0].lower() for other in files]
    if len(files) < 2 or not SPLIT_NAMES.issuperset(words):
        return None
    return words[files.index(file)]


def _full_columns(table: Any) -> set[str]:
    """The flat columns that cannot hold a null, by their declaration or by every row group's statistics."""
    full = {column.name for column in table.schema_arrow if not column.nullable}
    metadata = table.metadata
    for i in range(metadata.num_columns):
        name = metadata.schema.column(i).path
        found = (metadata.row_group(group).column(i).statistics for group in range(metadata.num_row_groups))
        if all(stats is not None and stats.has_null_count and stats.null_count == 0 for stats in found):
            full.add(name)
    return full
