"""Columns given at once (add_batch), taken apart into what each leaf stores. The mirror image of batch()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import SCALARS, Array, Field, Media, Scalar, Struct, Tensor, Word
from atlas_ds.schema.values import describe, pack, scalar_bytes, to_array, to_media, to_numpy

STEP_BYTES = 1 << 20
Taker = Callable[[int, int], Any]


@dataclass(frozen=True, slots=True)
class Slices:
    """Gives rows [start, stop) of every leaf; step: how many rows to take at a time."""

    takers: tuple[Taker, ...]
    step: int

    def take(self, start: int, stop: int) -> list[Any]:
        return [taker(start, stop) for taker in self.takers]


def to_leaf_arrays(columns: Any, schema: Schema) -> tuple[int, Slices]:
    """The number of rows, and how to take some of them apart."""
    values: list[Any]
    if schema.container in ("dict", "dataclass"):
        if not isinstance(columns, dict):
            raise SchemaError(f"add_batch expects a dict of columns {', '.join(schema.names)}, got {describe(columns)}")
        unknown = set(columns) - set(schema.names)
        if unknown:
            raise SchemaError(f"unknown column {sorted(unknown)[0]!r}: the schema has {', '.join(schema.names)}")
        values = [columns.get(name) for name in schema.names]
    elif schema.container == "value":
        values = [columns]
    else:
        values = list(columns)
        if len(values) != len(schema.fields):
            raise SchemaError(f"add_batch expects {len(schema.fields)} columns, got {len(values)}")
    lengths = {len(value) for value in values if value is not None and not isinstance(value, dict)}
    lengths |= {len(inner) for value in values if isinstance(value, dict) for inner in _flat(value)}
    if len(lengths) != 1:
        raise SchemaError(f"the columns have different lengths: {sorted(lengths)}")
    count = lengths.pop()
    takers: list[Taker] = []
    row_bytes = 1
    for field, value in zip(schema.fields, values, strict=True):
        row_bytes += _add(takers, field, value, field.name)
    return count, Slices(tuple(takers), max(1, min(1024, STEP_BYTES // row_bytes)))


def _flat(columns: dict[str, Any]) -> list[Any]:
    return [leaf for value in columns.values() for leaf in (_flat(value) if isinstance(value, dict) else [value])]


def _add(takers: list[Taker], field: Field, column: Any, path: str) -> int:
    """Appends the takers of a field's leaves; returns about how many bytes a row has."""
    kind = field.type
    if isinstance(kind, Struct):
        if not isinstance(column, dict) or field.nullable:
            raise SchemaError(f"column {path!r}: a struct is given to add_batch as a dict of columns, and cannot be absent there: use add_example")
        return sum(_add(takers, inner, column.get(inner.name), f"{path}.{inner.name}") for inner in kind.fields)
    if column is None:
        if not field.nullable:
            raise SchemaError(f"column {path!r} is missing")
        takers.extend([lambda start, stop: [None] * (stop - start)] * len(field.leaves))
        return 8
    given = to_numpy(column)
    plain = isinstance(given, np.ndarray) and not np.ma.isMaskedArray(given)
    if plain and isinstance(kind, Scalar | Array) and given.dtype == SCALARS[kind.dtype] and kind.dtype != "bfloat16":
        shape = kind.shape if isinstance(kind, Array) else ()
        if given.shape[1:] != shape:
            raise SchemaError(f"column {path!r}: expected {kind} in each row, got {describe(given)}")
        takers.append(lambda start, stop: np.ascontiguousarray(given[start:stop]))
        return int(given.dtype.itemsize * np.prod(shape))
    for one in _value_takers(field, path):
        keeps_none = kind == Word("object")
        takers.append(lambda start, stop, one=one, keep=keeps_none: [None if _is_null(v) and not keep else one(v) for v in given[start:stop]])  # type: ignore[misc]
    return 256


def _is_null(value: Any) -> bool:
    return value is None or value is np.ma.masked


def _value_takers(field: Field, path: str) -> list[Callable[[Any], Any]]:
    """One function per leaf: a value to its bytes."""
    kind = field.type
    match kind:
        case Scalar():
            return [lambda value: scalar_bytes(value, field, path)]
        case Array():
            return [lambda value: to_array(value, field, path).tobytes()]
        case Word("str"):
            return [lambda value: _text(value, path)]
        case Word("bytes"):
            return [lambda value: _bytes(value, path)]
        case Word():
            return [lambda value: pack(value, path)]
        case Tensor(_, ndim):
            data = lambda value: to_array(value, field, path).tobytes()  # noqa: E731
            shape = lambda value: np.array(to_array(value, field, path).shape, np.uint32).tobytes()  # noqa: E731
            return [data] if ndim == 1 else [data, shape]
        case Media(type):
            content: Callable[[Any], Any] = lambda value: to_media(value, field, path)[0]  # noqa: E731
            return [content] if type is not None else [content, lambda value: to_media(value, field, path)[1].encode()]
        case _:
            raise AssertionError(kind)


def _text(value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise SchemaError(f"column {path!r}: expected str, got {describe(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise SchemaError(f"column {path!r}: {value[:40]!r} has a lone surrogate, which UTF-8 cannot hold; store it as bytes") from None


def _bytes(value: Any, path: str) -> Any:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise SchemaError(f"column {path!r}: expected bytes, got {describe(value)}")
    return value
