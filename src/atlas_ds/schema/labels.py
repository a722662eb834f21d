"""Class labels: the number of a class, given by number or by name."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.fits import refusal
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import ClassLabel, Struct, Type
from atlas_ds.text import closest

NEW_CLASS = "for a new class, open the writer with schema=, where the column's class_label has the name added at the end"


def names_of(schema: Schema) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each column of labels."""
    return {field.name: field.type.names for field in schema.fields if isinstance(field.type, ClassLabel)}


def named(value: Any, names: tuple[str, ...]) -> str:
    """A label for people: its number and its name."""
    known = type(value) is int and 0 <= value < len(names)
    return f"{value} ({names[value]})" if known else "null" if value is None else str(value)


def with_names(value: Any, kind: Type | None) -> Any:
    """A value for people, with the names of the labels in it. One label, or a null for one: its text."""
    if isinstance(kind, ClassLabel):
        return named(value, kind.names)
    if not isinstance(kind, Struct) or not isinstance(value, dict):
        return value
    kinds = {field.name: field.type for field in kind.fields}
    return {name: with_names(inner, kinds[name]) if inner is not None and name in kinds else inner for name, inner in value.items()}


@lru_cache(64)
def numbers_of(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def number_of(value: Any, kind: ClassLabel, path: str) -> int:
    """The number of a class. SchemaError where there is no such class."""
    if isinstance(value, str):
        number = numbers_of(kind.names).get(value)
        if number is None:
            like = closest(value, kind.names, 1)
            raise refusal(path, kind, value, f"there is no such class{f'; did you mean {like[0]!r}?' if like else ''}: {NEW_CLASS}")
        return number
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise refusal(path, kind, value, "give the number of a class, or its name")
    if not 0 <= value < len(kind.names):
        unlabelled = "an example without a label has None: declare the column with atlas.types.nullable(...)"
        raise refusal(path, kind, value, unlabelled if value == -1 else f"there are {len(kind.names)} classes")
    return int(value)


def numbers_in(column: np.ndarray, kind: ClassLabel, path: str) -> np.ndarray:
    """An array of ints, none of them null, as the column stores it. SchemaError as number_of."""
    bad = (column < 0) | (column >= len(kind.names))
    if bad.any():
        row = int(np.argmax(bad))
        try:
            number_of(column[row], kind, path)
        except SchemaError as error:
            raise SchemaError(f"row {row} of the batch: {error}") from None
    return np.ascontiguousarray(column, np.int64)
