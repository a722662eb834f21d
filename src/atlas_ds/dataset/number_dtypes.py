"""Restores the dtypes of the numbers of an example, for with_format: a Python number does not say whether its column is int8 or uint64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Field, Scalar, Struct

Tree = Mapping[Any, Any]
"""Key in an example -> Tree of a struct, or the dtype of a column of numbers."""
EXACT = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float32", "float64")  # scalars of these default_collate takes


@dataclass(frozen=True, slots=True)
class Dtypes:
    """Converts the numbers of an example to the dtypes of their columns, in place."""

    tree: Tree | np.dtype[Any]

    def __call__(self, example: Any) -> Any:
        return self._typed(example, self.tree)

    def _typed(self, value: Any, tree: Tree | np.dtype[Any]) -> Any:
        if value is None:
            return None
        if isinstance(tree, np.dtype):
            return tree.type(value)
        if isinstance(value, tuple):
            return tuple(self._typed(inner, tree[i]) if i in tree else inner for i, inner in enumerate(value))
        for key, inner in tree.items():
            value[key] = self._typed(value[key], inner)
        return value


def dtypes_of(schema: Schema) -> Dtypes | None:
    """Returns None if the schema has no numbers."""
    tree = tree_of(schema.fields, by_number=schema.container in ("tuple", "list"))
    if not tree:
        return None
    return Dtypes(tree["value"] if schema.container == "value" else tree)


def tree_of(fields: tuple[Field, ...], *, by_number: bool = False) -> dict[Any, Any]:
    tree: dict[Any, Any] = {}
    for number, field in enumerate(fields):
        key = number if by_number else field.name
        if isinstance(field.type, Scalar):
            tree[key] = np.dtype(np.float32) if field.type.dtype == "bfloat16" else SCALARS[field.type.dtype]
        elif isinstance(field.type, Struct) and (inner := tree_of(field.type.fields)):
            tree[key] = inner
    return tree


def is_doubtful(field: Field) -> bool:
    """Whether torch's default_collate may reject or change values of a column."""
    if field.nullable:
        return True
    if isinstance(field.type, Struct):
        return any(map(is_doubtful, field.type.fields))
    if isinstance(field.type, Scalar):
        return field.type.dtype not in EXACT or (field.numpy and field.type.dtype != "bool")
    return not (isinstance(field.type, Array | ClassLabel) or str(field.type) in ("str", "bytes"))
