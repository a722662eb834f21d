"""Reads Parquet files batch by batch through pyarrow (an extra, imported where it is needed).
types.py converts the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.converting import Place, label_of, number_lists
from atlas_ds.bridge.arrow.errors import arrow_errors, pyarrow
from atlas_ds.bridge.arrow.merge import check_schema
from atlas_ds.bridge.arrow.python_values import bare
from atlas_ds.bridge.arrow.tables import Look, Nulls, arrow_table, nulls_of
from atlas_ds.bridge.arrow.types import features_of
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.opening import read_head
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.errors import CorruptError, UnsupportedError
from atlas_ds.progress import Progress

BATCH_ROWS = 1024
BROKEN = "not a readable Parquet file"
ENCRYPTED = b"PARE"


def read_parquet_table(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The rows of some files as one table."""
    pyarrow(paths[0], "Parquet")
    with Progress(None, "looking for nulls", "rows", options.progress) as bar:
        looks = [_look(path, bar) for path in paths]
    return arrow_table(looks, _batches)


def _open(path: Path) -> Any:
    """Opens the file after checking that it is a regular one. For use inside arrow_errors."""
    import pyarrow.parquet as pq

    head = read_head(path, 4)
    if head == ENCRYPTED:
        raise UnsupportedError(f"{path}: encrypted Parquet; write it again without encryption")
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; fetch or write it again")
    return pq.ParquetFile(path)


def _look(path: Path, bar: Progress) -> Look:
    with arrow_errors(path, BROKEN), _open(path) as file:
        schema, rows = file.schema_arrow, int(file.metadata.num_rows)
        check_schema(path, schema)
        nulls, holes = _nulls_by_reading(file, schema, bar)
        return Look(path, schema, rows, nulls, holes)


def _nulls_by_reading(file: Any, schema: Any, bar: Progress) -> tuple[set[str], set[Place]]:
    """Columns with nulls, and places with nulls inside lists of numbers. Statistics are not used: they
    count empty lists, and damaged ones abort the process inside pyarrow (26.0), whereas reading
    raises an error."""
    nulls, holes = set[str](), set[Place]()
    features = features_of(schema)
    lists = {column.name: set(number_lists(column.type, (column.name,))) for column in schema}
    labels = {column.name for column in schema if label_of(bare(column.type), features.get(column.name, {})) is not None}
    unknown = [column.name for column in schema if column.nullable or lists[column.name] or column.name in labels]
    for group in range(file.num_row_groups):
        unknown = [name for name in unknown if name not in nulls or lists[name] - holes]
        if not unknown:
            break
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=unknown):
            bar.advance(batch.num_rows)
            for name in unknown:
                known = name in batch.schema.names
                found = nulls_of(name, batch.column(name), features.get(name, {})) if known else Nulls(True, lists[name])
                nulls |= {name} if found.in_column else set()
                holes |= found.holes
    return nulls, holes


def first_rows(path: Path, count: int) -> list[dict[str, Any]]:
    """The first rows of a file as Python values."""
    batch = next(_batches(path), None)
    with arrow_errors(path, BROKEN):
        return [] if batch is None else batch.slice(0, count).to_pylist()


def _batches(path: Path) -> Iterator[Any]:
    with arrow_errors(path, BROKEN):
        file = _open(path)
    with file:
        batches = file.iter_batches(batch_size=BATCH_ROWS)
        row = 0
        while True:
            with arrow_errors(f"{path}: after row {row}", "a damaged page"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch
            row += batch.num_rows
