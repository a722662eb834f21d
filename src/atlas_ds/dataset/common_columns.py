"""Finds the common columns of several datasets, so that they can be read as one, and converts their batches to the common form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.ragged import Ragged, ends, shapes_of
from atlas_ds.schema.schema import Schema, all_names
from atlas_ds.schema.times import DTYPES, unit_of
from atlas_ds.schema.types import UNITS, Array, ClassLabel, Date, Field, Media, Struct, Tensor, Timestamp, Type

Named = tuple[str, Schema]
"""What errors call a dataset, and its schema."""


def common_schema(datasets: Sequence[Named]) -> Schema:
    """The schema of all, with the names in the order of the first. SchemaError where the columns differ.

    What may differ: the order of names, whether a value may be absent, whether a number comes as a NumPy scalar, the media type, the shape
    of arrays of one dtype (they are read as tensors), class labels that one of them adds at the end, and the unit of timestamps.
    """
    first_name, first = datasets[0]
    for name, schema in datasets[1:]:
        if container(schema) != container(first):
            raise SchemaError(f"the examples of {first_name} are a {first.container}, those of {name} a {schema.container}: they cannot be joined")
    named = [(name, schema.fields) for name, schema in datasets]
    wrong = differences(named)
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise SchemaError(f"the columns of the datasets differ: {shown}. {cure(named, first)}")
    return replace(first, fields=reduce(merged_fields, [schema.fields for _, schema in datasets]))


def container(schema: Schema) -> str:
    return "dict" if schema.container == "dataclass" else schema.container


def differences(named: Sequence[tuple[str, tuple[Field, ...]]], prefix: str = "") -> list[str]:
    """A line for each column that is not in all datasets, or is of types that have nothing in common."""
    wrong = []
    for name in dict.fromkeys(field.name for _, fields in named for field in fields):
        found = [(where, field) for where, fields in named for field in fields if field.name == name]
        if len(found) < len(named):
            lacking = next(where for where, fields in named if name not in {field.name for field in fields})
            wrong.append(f"column {prefix + name!r} is in {found[0][0]} but not in {lacking}")
        elif all(isinstance(field.type, Struct) for _, field in found):
            wrong += differences([(where, field.type.fields) for where, field in found if isinstance(field.type, Struct)], f"{prefix}{name}.")
        else:
            kind = found[0][1].type
            for where, field in found[1:]:
                common = merged_type(kind, field.type)
                if common is None:
                    wrong.append(f"column {prefix + name!r} is {found[0][1].type} in {found[0][0]} but {field.type} in {where}")
                    break
                kind = common
    return wrong


def cure(named: Sequence[tuple[str, tuple[Field, ...]]], first: Schema) -> str:
    shared = [field.name for field in first.fields if not differences([(where, tuple(f for f in fields if f.name == field.name)) for where, fields in named])]
    if first.container == "value" or not shared:
        return "They have no column in common; give them the same form with map(), or write them again with one schema"
    return f"Open each with the columns they have in common: AtlasDataset(path, columns={shared!r}); or write them again with one schema"


def merged_fields(a: tuple[Field, ...], b: tuple[Field, ...]) -> tuple[Field, ...]:
    others = {field.name: field for field in b}
    return tuple(merged_field(field, others[field.name]) for field in a)


def merged_field(a: Field, b: Field) -> Field:
    kind = merged_type(a.type, b.type)
    assert kind is not None
    return replace(a, type=kind, nullable=a.nullable or b.nullable)


def merged_type(a: Type, b: Type) -> Type | None:
    """Returns a type that holds the values of both unchanged, or None."""
    if isinstance(a, Struct) and isinstance(b, Struct):
        return Struct(merged_fields(a.fields, b.fields)) if not differences([("", a.fields), ("", b.fields)]) else None
    if a == b:
        return a
    if isinstance(a, Array | Tensor) and isinstance(b, Array | Tensor) and (a.dtype, a.list) == (b.dtype, b.list):
        return Tensor(a.dtype, dimensions(a) if dimensions(a) == dimensions(b) else None, a.list)
    if isinstance(a, ClassLabel) and isinstance(b, ClassLabel):
        return all_names(a, b)
    if isinstance(a, Timestamp) and isinstance(b, Timestamp):
        exact = a.tz == b.tz and "ns" not in (a.unit, b.unit)  # nanoseconds hold fewer years, and are no datetimes
        return max(a, b, key=lambda kind: UNITS.index(kind.unit)) if exact else None
    return Media(None) if isinstance(a, Media) and isinstance(b, Media) else None


def dimensions(kind: Array | Tensor) -> int | None:
    return len(kind.shape) if isinstance(kind, Array) else kind.ndim


def widened(column: Any, field: Field, absent: bool = False) -> Any:
    """Returns a column of the batch of one dataset in the common form. absent: the struct around it may be."""
    absent = absent or field.nullable
    kind = field.type
    if isinstance(kind, Struct):
        return {inner.name: widened(column[inner.name], inner, absent) for inner in kind.fields}
    if isinstance(kind, Tensor):
        ragged = ragged_of(column) if isinstance(column, np.ndarray) else column
        mask = np.zeros(len(ragged), np.bool_) if absent and ragged.mask is None else ragged.mask
        return replace(ragged, mask=mask, shapes=shapes_of(ragged) if kind.ndim is None else ragged.shapes)
    if isinstance(kind, Timestamp | Date):  # a null is NaT, so there is no mask
        return column.astype(DTYPES[unit_of(kind)], copy=False)
    if absent and isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray):
        return np.ma.MaskedArray(column, np.zeros(column.shape, np.bool_))
    return column


def ragged_of(column: np.ndarray) -> Ragged:
    """Arrays of one shape, as arrays whose shapes might differ."""
    rows, shape = len(column), column.shape[1:]
    gone: Any = np.ma.getmaskarray(column).reshape(rows, -1).any(1) if isinstance(column, np.ma.MaskedArray) else np.zeros(rows, np.bool_)
    values = np.ma.getdata(column)[~gone].reshape(-1)
    shapes = np.tile(np.array(shape, np.uint32), (rows, 1)) if len(shape) != 1 else None
    return Ragged(values, ends(np.where(gone, 0, prod(shape))), shapes, gone if isinstance(column, np.ma.MaskedArray) else None)
