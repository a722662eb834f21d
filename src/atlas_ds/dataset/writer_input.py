"""Converts the arguments of extend and add_batch to examples or columns: tables and datasets of other libraries, none of which is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from atlas_ds.dataset.columns import as_column, count_rows, row_of
from atlas_ds.errors import SchemaError
from atlas_ds.schema.describe import describe

TABLE_ROWS = 1024  # of a table that are converted to Python values at a time


def as_examples(examples: Any) -> Iterator[Any]:
    """Returns the examples of an iterable, a map-style dataset, a dict of columns, or a table of pyarrow or polars. SchemaError for others."""
    if isinstance(examples, Mapping):
        return _rows_of_columns(examples)
    if isinstance(examples, str | bytes | bytearray):
        raise SchemaError(f"extend expects many examples, got {describe(examples)}: for one, use add_example")
    table = _table(examples)
    if table is not None:
        return table
    if hasattr(examples, "__iter__"):
        try:
            return iter(examples)
        except TypeError as cause:  # an array of no dimensions, a class
            raise SchemaError(f"extend expects many examples, got {describe(examples)}: {cause}") from cause
    if hasattr(examples, "__getitem__") and hasattr(examples, "__len__"):
        return (examples[i] for i in range(len(examples)))  # a map-style dataset, whose iteration would not end
    if hasattr(examples, "__getitem__"):
        raise SchemaError(f"extend cannot tell how many examples {describe(examples)} has: give it a __len__ or an __iter__, or a generator over it")
    raise SchemaError(f"extend expects many examples (an iterable, a data set, a table), got {describe(examples)}: for one, use add_example")


def as_columns(columns: Any) -> Iterator[Any]:
    """Returns batches of columns: columns unchanged; of a table of pyarrow or polars a dict of columns for some rows at a time."""
    kind = _library(columns)
    if kind == "pyarrow" and hasattr(columns, "schema"):
        return ({name: batch.column(i).to_pylist() for i, name in enumerate(_names(batch))} for batch in _arrow_batches(columns))
    if kind == "polars" and hasattr(columns, "iter_slices"):
        return ({name: part[name].to_list() for name in part.columns} for part in columns.iter_slices(TABLE_ROWS))
    _refuse_frames(columns, "add_batch")
    return iter((columns,))


def _rows_of_columns(columns: Mapping[Any, Any]) -> Iterator[Any]:
    named = {name: as_column(column, None, str(name)) for name, column in columns.items()}
    count = count_rows(named)
    return (row_of(named, i) for i in range(count))


def _library(value: Any) -> str:
    return str(type(value).__module__).partition(".")[0]


def _table(examples: Any) -> Iterator[Any] | None:
    """The rows of a table of another library as dicts, None where it is no such table."""
    kind = _library(examples)
    if kind == "pyarrow":
        if hasattr(examples, "schema"):
            return (row for batch in _arrow_batches(examples) for row in batch.to_pylist())
        if hasattr(examples, "to_pylist"):
            values: Iterable[Any] = examples.to_pylist()
            return iter(values)
    if kind == "polars" and hasattr(examples, "iter_rows"):
        rows: Iterable[Any] = examples.iter_rows(named=True)
        return iter(rows)
    _refuse_frames(examples, "extend")
    return None


def _refuse_frames(value: Any, call: str) -> None:
    kind, name = _library(value), type(value).__name__
    if kind == "pandas" and name == "DataFrame":
        cure = 'give pyarrow.Table.from_pandas(df, preserve_index=False), or extend(df.to_dict("records"))'
        raise SchemaError(f"{call} does not accept a pandas DataFrame: {cure}")
    if kind == "polars" and name == "LazyFrame":
        raise SchemaError(f"{call} does not accept a polars LazyFrame: give frame.collect()")
    if kind == "atlas_ds" and call == "add_batch" and hasattr(value, "batch"):
        raise SchemaError("add_batch expects columns, got a dataset: use extend(dataset), or add_batch(dataset.batch(rows))")


def _names(batch: Any) -> list[str]:
    names = list(batch.schema.names)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SchemaError(f"the table has two columns named {twice!r}: rename one")
    return names


def _arrow_batches(table: Any) -> Iterator[Any]:
    """Batches of TABLE_ROWS rows at most, of a Table, a RecordBatch or a reader of record batches."""
    if hasattr(table, "to_batches"):
        batches = iter(table.to_batches(max_chunksize=TABLE_ROWS))
    elif hasattr(table, "num_rows"):
        batches = iter((table,))
    elif hasattr(table, "read_next_batch"):
        batches = iter(table)
    else:
        raise SchemaError(f"a pyarrow {type(table).__name__} is not a table: give its to_table(), or read it with atlas.convert")
    for batch in batches:
        _names(batch)
        for start in range(0, batch.num_rows, TABLE_ROWS):
            yield batch.slice(start, TABLE_ROWS)
