"""Converts Atlas types to Arrow types, and restores the columns of exported files. types.py reads
columns of other origin.

A column keeps what Arrow and Hugging Face can express. The rest (shapes of lists, which numbers are
NumPy scalars) is Atlas's schema as JSON in the metadata of the file. It is only used for columns
whose Arrow type matches it.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from atlas_ds.bridge.arrow.moments import moments
from atlas_ds.bridge.arrow.numpy_lists import fixed_arrays, flat_lists, nested_lists, shaped_arrays, stored
from atlas_ds.errors import AtlasError, SchemaError
from atlas_ds.schema.media import Media, sniff
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.schema.times import count_of
from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Date, Field, Scalar, Struct, Tensor, Timestamp, Word
from atlas_ds.schema.types import Media as MediaType

KEY = b"atlas"
_ARROW_LACKS = ("bfloat16", "complex64", "complex128")


def arrow_type(field: Field, where: str) -> Any:
    """The Arrow type of a column; None for "object", where it depends on the values. SchemaError
    if there is none."""
    import pyarrow as pa

    match field.type:
        case Scalar(dtype):
            return _number(dtype, where)
        case Word(word):
            return {"str": pa.string(), "bytes": pa.binary()}.get(word)
        case Array(dtype, shape):
            return _array_type(dtype, shape, where)
        case Timestamp(unit, tz):
            return pa.timestamp(unit, tz)
        case Date():
            return pa.date32()
        case ClassLabel():
            return pa.int64()
        case Tensor(dtype, ndim):
            if ndim is None:
                return pa.struct({"shape": pa.list_(pa.int32()), "values": pa.list_(_number(dtype, where))})
            return _lists(_number(dtype, where), ndim)
        case MediaType():
            return pa.struct({"bytes": pa.binary(), "path": pa.string()})
        case Struct(fields):
            return pa.struct([pa.field(inner.name, _inner_type(inner, f"{where}.{inner.name}")) for inner in fields])


def _inner_type(field: Field, where: str) -> Any:
    found = arrow_type(field, where)
    if found is None:
        raise SchemaError(f"{where}: an object inside a dict has no type in Arrow; leave the column out with columns=, or make it a separate column")
    return found


def _number(dtype: str, where: str) -> Any:
    import pyarrow as pa

    if dtype in _ARROW_LACKS:
        raise SchemaError(f"{where}: Arrow has no {dtype}; leave the column out with columns=, or store it as float32 first")
    return pa.from_numpy_dtype(SCALARS[dtype])


def _array_type(dtype: str, shape: tuple[int, ...], where: str) -> Any:
    import pyarrow as pa

    if 0 in shape:
        raise SchemaError(f"{where}: arrays of shape {'x'.join(map(str, shape))} are empty, which lists cannot express; leave it out with columns=")
    return pa.list_(_number(dtype, where), shape[0]) if len(shape) == 1 else _lists(_number(dtype, where), len(shape))


def _lists(kind: Any, depth: int) -> Any:
    import pyarrow as pa

    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


def to_column(values: list[Any], field: Field, kind: Any, where: str) -> Any:
    """The values of some rows as an Arrow array of the type that `arrow_type` returned."""
    import pyarrow as pa

    match field.type:
        case Timestamp() | Date() as own if any(isinstance(value, np.datetime64) for value in values):
            counts = [None if value is None else count_of(value, own, where) for value in values]
            return pa.array(counts, pa.int32() if isinstance(own, Date) else pa.int64()).cast(kind)
        case Array(_, (length,), True):
            return pa.array(values, pa.list_(kind.value_type, length))
        case Tensor(_, _, True):
            return pa.array(values, kind)
        case Array(_, shape) if len(shape) == 1:
            return flat_lists(values, shape[0], kind.value_type)
        case Array(dtype, shape) if shape:
            return nested_lists(values, len(shape), pa.from_numpy_dtype(SCALARS[dtype]), where)
        case Tensor(dtype, ndim) if ndim:
            return nested_lists(values, ndim, pa.from_numpy_dtype(SCALARS[dtype]), where)
        case Word("object"):
            return _object_column(values, kind, where)
        case Struct(fields):
            gone = [value is None for value in values]
            rows = [({} if value is None else value) for value in values]
            columns = [to_column([row.get(f.name) for row in rows], f, kind.field(f.name).type, f"{where}.{f.name}") for f in fields]
            return pa.StructArray.from_arrays(columns, fields=list(kind), mask=pa.array(gone, pa.bool_()))
        case _:
            return pa.array([_to_plain(value, field, where) for value in values], kind)


def _to_plain(value: Any, field: Field, where: str) -> Any:
    """One value as pyarrow accepts it."""
    match field.type:
        case _ if value is None:
            return None
        case Tensor(_, None):
            return {"shape": list(value.shape), "values": value.ravel().tolist()}
        case Array() | Tensor() | Scalar():
            return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        case MediaType():
            return {"bytes": bytes(value.data), "path": _name_of(value, where)}
        case _:
            return bytes(value) if isinstance(value, memoryview) else value


def _name_of(value: Media, where: str) -> str | None:
    """None if the bytes show the media type; else a file name that does."""
    if sniff(value.data) == value.type:
        return None
    name = f"file{mimetypes.guess_extension(value.type) or ''}"
    if sniff(value.data) is None and mimetypes.guess_type(name)[0] == value.type:
        return name
    raise SchemaError(
        f"{where}: media of type {value.type}, which neither its bytes nor a file name can express;"
        " store it as bytes, or leave it out with columns="
    )


def _object_column(values: list[Any], kind: Any, where: str) -> Any:
    import pyarrow as pa

    try:
        column = pa.array(values, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise _mixed(where, str(error)) from error
    for value, back in zip(values, column.to_pylist(), strict=True):
        if not _alike(value, back):
            raise _mixed(where, f"{str(value)[:60]} would be read back as {str(back)[:60]}")
    return column


def object_type(values: list[Any], where: str) -> Any:
    """The Arrow type of some objects."""
    import pyarrow as pa

    try:
        return pa.infer_type(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise _mixed(where, str(error)) from error


def _mixed(where: str, reason: str) -> SchemaError:
    return SchemaError(
        f"{where}: objects without a common type in Arrow: {reason}; leave the column out with columns=, or store it as text (json.dumps) first"
    )


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    return type(a) is type(b) and (a == b or a != a)


def own_fields(schema: Any, place: str) -> dict[str, Field]:
    """The Atlas fields of a file that Atlas exported; without columns that were changed since,
    and empty for any other file."""
    text = (schema.metadata or {}).get(KEY)
    if text is None:
        return {}
    try:
        said: Schema = schema_from_json(json.loads(text), where=place)
        return {field.name: field for field in said.fields if field.name in schema.names and _fits(field, stored(schema.field(field.name).type))}
    except (AtlasError, ValueError, RecursionError):
        return {}  # only a hint: without it the columns are read like those of other files


def _fits(field: Field, found: Any) -> bool:
    kind = arrow_type(field, field.name)
    return kind is None or bool(_as_in_parquet(kind).equals(_as_in_parquet(found)))


def _as_in_parquet(kind: Any) -> Any:
    """Parquet has no timestamps in seconds, and stores them in milliseconds."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_struct(kind):
        return pa.struct([field.with_type(_as_in_parquet(field.type)) for field in kind])
    return pa.timestamp("ms", kind.tz) if t.is_timestamp(kind) and kind.unit == "s" else kind


def restorer(field: Field, where: str) -> Callable[[Any], list[Any]]:
    """A function that turns an exported column back into values."""
    match field.type:
        case Array(_, _, True) | Tensor(_, _, True) | ClassLabel():
            return lambda column: column.to_pylist()
        case Timestamp() | Date():
            return moments
        case Struct(fields):
            inner = [(one.name, restorer(one, f"{where}, {one.name}")) for one in fields]
            return lambda column: _structs(column, inner)
        case Array() as kind if kind.shape:
            return partial(fixed_arrays, kind=kind, where=where)
        case Tensor(dtype, ndim) if ndim:
            return partial(shaped_arrays, dtype=dtype, ndim=ndim, where=where)
        case _:
            return lambda column: [_restore(value, field) for value in column.to_pylist()]


def _structs(column: Any, fields: list[tuple[str, Callable[[Any], list[Any]]]]) -> list[Any]:
    names = [name for name, _ in fields]
    columns = [restore(inner) for (_, restore), inner in zip(fields, column.flatten(), strict=True)]
    return [dict(zip(names, row, strict=True)) if there else None for there, row in zip(column.is_valid().to_pylist(), zip(*columns, strict=True), strict=True)]


def _restore(value: Any, field: Field) -> Any:
    match field.type:
        case _ if value is None:
            return None
        case Scalar(dtype):
            return SCALARS[dtype].type(value) if field.numpy else value
        case Array(dtype, shape):
            return np.array(value, SCALARS[dtype]).reshape(shape)
        case Tensor(dtype, None):
            return np.array(value["values"], SCALARS[dtype]).reshape(value["shape"])
        case Tensor(dtype, ndim):
            found = np.array(value, SCALARS[dtype])
            return found if found.ndim == ndim else found.reshape((len(value), *(0,) * ((ndim or 1) - 1)))
        case MediaType(kind):
            data = value["bytes"]
            return Media(data, kind or sniff(data) or mimetypes.guess_type(value["path"] or "")[0] or "application/octet-stream")
        case _:
            return value
