"""Reads Parquet files batch by batch through pyarrow (an extra, imported where it is needed). What its columns become is types.py's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.errors import arrow_errors, pyarrow
from atlas_ds.bridge.arrow.footer import null_counts
from atlas_ds.bridge.arrow.plain import bare, is_list
from atlas_ds.bridge.arrow.tables import Look, arrow_table, count_leaves, nulls_of
from atlas_ds.bridge.files.table import Table
from atlas_ds.bridge.opening import read_head
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.errors import CorruptError, UnsupportedError

BATCH_ROWS = 1024
BROKEN = "not a readable Parquet file"
ENCRYPTED = b"PARE"


def read_parquet_table(paths: Sequence[Path], options: ReadOptions) -> Table:
    """The rows of some files as one table."""
    pyarrow(paths[0], "Parquet")
    return arrow_table([_look(path) for path in paths], _batches)


def _open(path: Path) -> Any:
    """The file, once it is known to be a regular one. For use inside of arrow_errors."""
    import pyarrow.parquet as pq

    head = read_head(path, 4)
    if head == ENCRYPTED:
        raise UnsupportedError(f"{path}: encrypted Parquet; write it again without encryption")
    if not head:
        raise CorruptError(f"{path}: byte 0: the file is empty; fetch or write it again")
    return pq.ParquetFile(path)


def _look(path: Path) -> Look:
    with arrow_errors(path, BROKEN), _open(path) as file:
        schema, rows = file.schema_arrow, int(file.metadata.num_rows)
        nulls, holes = set(), set()
        groups = null_counts(path)
        leaf = 0
        for column in schema:
            leaves = range(leaf, leaf + count_leaves(column.type))
            leaf = leaves.stop
            counts = [_null_count(groups, number) for number in leaves]
            if not any(count is None or count for count in counts):
                continue
            found = _nulls_by_reading(file, column, flat=counts if len(counts) == 1 and not _is_nested(column.type) else None)
            nulls |= {column.name} if found[0] else set()
            holes |= {column.name} if found[1] else set()
        return Look(path, schema, rows, nulls, holes)


def _is_nested(kind: Any) -> bool:
    import pyarrow.types as t

    kind = bare(kind)
    return is_list(kind) or t.is_struct(kind) or t.is_map(kind)


def _null_count(groups: list[list[int | None]], leaf: int) -> int | None:
    """The nulls of a leaf in all row groups; None where a group does not say it."""
    total = 0
    for leaves in groups:
        count = leaves[leaf] if leaf < len(leaves) else None
        if count is None:
            return None
        total += count
    return total


def _nulls_by_reading(file: Any, column: Any, flat: list[int | None] | None) -> tuple[bool, bool]:
    """Nulls and nulls inside of lists. Statistics count an empty list, too, so nested columns are read, and those without statistics."""
    if flat is not None and (flat[0] or not column.nullable):
        return column.nullable, False
    nulls = hole = False
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[column.name]):
        if column.name not in batch.schema.names:
            return True, True
        found = nulls_of(batch.column(column.name))
        nulls, hole = nulls or found[0], hole or found[1]
        if nulls and hole:
            break
    return nulls, hole


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
