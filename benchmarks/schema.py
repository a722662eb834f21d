"""Describes the columns of a workload, so that every peer can choose its best layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Example = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One column: kind is "array", "int", "str", "bytes" or "dict"."""

    name: str
    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    fields: tuple[Field, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements of an array column."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Schema:
    """The columns of a workload, in order."""

    fields: tuple[Field, ...]

    @property
    def fixed(self) -> bool:
        """Whether every row has the same number of bytes."""
        return all(field.kind in ("array", "int") for field in self.fields)

    def leaves(self) -> Iterator[tuple[tuple[str, ...], Field]]:
        """Yield (path, field) of every column, nested ones included."""
        yield from _leaves(self.fields, ())


def _leaves(
    fields: Sequence[Field], prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Field]]:
    for field in fields:
        path = (*prefix, field.name)
        if field.kind == "dict":
            yield from _leaves(field.fields, path)
        else:
            yield path, field


def array(name: str, dtype: str, *shape: int) -> Field:
    """A fixed-shape array column."""
    return Field(name, "array", dtype, shape)


def nest(values: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Turn {("meta", "lines"): x} into {"meta": {"lines": x}}."""
    out: dict[str, Any] = {}
    for path, value in values.items():
        target = out
        for part in path[:-1]:
            target = target.setdefault(part, {})
        target[path[-1]] = value
    return out


def pick(value: Any, path: tuple[str, ...]) -> Any:
    """The leaf at `path` of a nested dict."""
    for part in path:
        value = value[part]
    return value


def raw_bytes(value: Any) -> int:
    """Bytes of the values themselves (an int counts as 8)."""
    if isinstance(value, dict):
        return sum(raw_bytes(item) for item in value.values())
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    return 8


def same(left: Any, right: Any) -> bool:
    """Deep equality, including dtype and shape of arrays."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(left[key], right[key]) for key in left)
        )
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and np.array_equal(left, right)
        )
    if isinstance(left, int):
        return isinstance(right, (int, np.integer)) and left == right
    return type(left) is type(right) and left == right
