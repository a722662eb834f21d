"""Moves examples into Arrow batches and back, for the peers that store columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.schema import Example, Field, Schema


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type of a column; arrays are flattened."""
    if field.kind == "array":
        return pa.list_(pa.from_numpy_dtype(np.dtype(field.dtype)), field.size)
    if field.kind == "dict":
        return pa.struct([(part.name, arrow_type(part)) for part in field.fields])
    return {"int": pa.int64(), "str": pa.string(), "bytes": pa.binary()}[field.kind]


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of a workload."""
    return pa.schema([pa.field(f.name, arrow_type(f), nullable=False) for f in schema.fields])


def _to_arrow(values: list[Any], field: Field) -> pa.Array:
    if field.kind == "array":
        return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(values, None)), field.size)
    if field.kind == "dict":
        parts = [_to_arrow([v[f.name] for v in values], f) for f in field.fields]
        return pa.StructArray.from_arrays(parts, fields=list(arrow_type(field)))
    return pa.array(values, arrow_type(field))


def batches(examples: Iterable[Example], schema: Schema, *, rows: int) -> Iterator[pa.RecordBatch]:
    """Cut examples into record batches."""
    kind = arrow_schema(schema)
    source = iter(examples)
    while chunk := list(islice(source, rows)):
        arrays = [_to_arrow([e[f.name] for e in chunk], f) for f in schema.fields]
        yield pa.RecordBatch.from_arrays(arrays, schema=kind)


def reader(
    examples: Iterable[Example], schema: Schema, *, rows: int = 2000
) -> pa.RecordBatchReader:
    """The examples as a stream of record batches."""
    return pa.RecordBatchReader.from_batches(
        arrow_schema(schema), batches(examples, schema, rows=rows)
    )


def _values(column: Any, field: Field) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if field.kind == "array":
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, *field.shape)
    if field.kind == "dict":
        return {part.name: _values(column.field(part.name), part) for part in field.fields}
    if field.kind == "int":
        return column.to_numpy(zero_copy_only=False)
    return column.to_pylist()


def columns(data: Any, schema: Schema) -> dict[str, Any]:
    """Columns of an Arrow table, record batch or struct array."""
    pick = data.field if isinstance(data, pa.StructArray) else data.column
    return {field.name: _values(pick(field.name), field) for field in schema.fields}


def _cells(values: Any, field: Field) -> Iterable[Any]:
    if field.kind == "dict":
        names = [part.name for part in field.fields]
        inner = [_cells(values[part.name], part) for part in field.fields]
        return (dict(zip(names, row)) for row in zip(*inner))
    return values.tolist() if field.kind == "int" else values


def rows(data: dict[str, Any], schema: Schema) -> Iterator[Example]:
    """The examples of a dict of columns; arrays are views of the columns."""
    names = [field.name for field in schema.fields]
    for row in zip(*(_cells(data[field.name], field) for field in schema.fields)):
        yield dict(zip(names, row))


def _only(column: Any, field: Field) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    if field.kind == "array":
        return column.flatten().to_numpy(zero_copy_only=False).reshape(field.shape)
    return column[0].as_py()


def first(data: Any, schema: Schema) -> Example:
    """The only example of a one-row table, record batch or struct array."""
    pick = data.field if isinstance(data, pa.StructArray) else data.column
    return {field.name: _only(pick(field.name), field) for field in schema.fields}


def ordered(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Strictly increasing indices, and where each wanted row is among them."""
    unique, inverse = np.unique(indices, return_inverse=True)
    return unique, inverse


def reorder(data: Any, inverse: np.ndarray) -> Any:
    """Take rows of every column."""
    if isinstance(data, dict):
        return {key: reorder(value, inverse) for key, value in data.items()}
    if isinstance(data, np.ndarray):
        return data[inverse]
    return [data[index] for index in inverse.tolist()]
