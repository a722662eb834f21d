"""The closed list of logical types, and how each maps to physical leaves. Nothing here looks at examples or bytes.

A leaf is what the C core knows: a column of values of constant width (fixed) or of any length (variable).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

SCALARS: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip
SCALARS["bfloat16"] = np.dtype("uint16")  # its bits; NumPy has no bfloat16
WORDS = ("str", "bytes", "object")
UNITS = ("s", "ms", "us", "ns")
MAX_DEPTH = 64
MAX_DIMENSIONS = 32
MAX_SHAPE = 1 << 30  # the product of an array's lengths, each 0 counted as 1
MAX_VALUE = 256 << 20  # bytes of one value: readers take a page of one such value, with its offsets and validity, and no larger one
MAX_PAGE = MAX_VALUE + 128


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number.

    Parameters
    ----------
    dtype
        "bool", "int8" to "int64", "uint8" to "uint64", "float16", "bfloat16", "float32", "float64",
        "complex64" or "complex128".
    """

    dtype: str

    def __str__(self) -> str:
        return self.dtype


@dataclass(frozen=True, slots=True)
class Word:
    """A value of any length.

    Parameters
    ----------
    kind
        "str" (UTF-8), "bytes", or "object" (any MessagePack value: lists, maps, datetimes).
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, slots=True)
class Array:
    """An array of constant dtype and shape.

    Parameters
    ----------
    dtype
        As for `Scalar`.
    shape
        The length of each dimension.
    list
        Whether an example has a list of numbers; a batch has an array.
    """

    dtype: str
    shape: tuple[int, ...]
    list: bool = False

    def __str__(self) -> str:
        if self.list:
            return f"list({self.dtype}, {self.shape[0]})"
        return f"array({self.dtype}, {'x'.join(map(str, self.shape)) or 'scalar'})"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array of constant dtype whose shape differs by example.

    Parameters
    ----------
    dtype
        As for `Scalar`.
    ndim
        The number of dimensions; None: it differs, too.
    list
        Whether an example has a list of numbers; a batch has a `Ragged`.
    """

    dtype: str
    ndim: int | None = None
    list: bool = False

    def __str__(self) -> str:
        if self.list:
            return f"list({self.dtype})"
        return f"tensor({self.dtype}, {'any' if self.ndim is None else self.ndim}d)"


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A moment, stored as a count of units since 1970.

    An example has a datetime (of unit "ns": a `numpy.datetime64`); a batch has an array of
    datetime64, in UTC if there is a time zone, with NaT where there is None.

    Parameters
    ----------
    unit
        "s", "ms", "us" or "ns".
    tz
        The time zone, such as "UTC", "Europe/Berlin" or "+02:00"; None: datetimes without one.
    """

    unit: str
    tz: str | None = None

    def __str__(self) -> str:
        return f"timestamp({self.unit}{', ' + self.tz if self.tz is not None else ''})"


@dataclass(frozen=True, slots=True)
class Date:
    """A day, stored as a count of days since 1970.

    An example has a `datetime.date`; a batch has an array of datetime64[D], with NaT where there is
    None.
    """

    def __str__(self) -> str:
        return "date"


@dataclass(frozen=True, slots=True)
class ClassLabel:
    """The number of a class, whose names the schema holds. An unlabelled example has None.

    Parameters
    ----------
    names
        The name of each class; class 0 is the first.
    """

    names: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.names[:4]) + (", ..." if len(self.names) > 4 else "")
        return f"class_label({shown})"


@dataclass(frozen=True, slots=True)
class Media:
    """An encoded image, audio or video.

    Parameters
    ----------
    type
        The media type, such as "image/jpeg"; None: it differs by example.
    """

    type: str | None = None

    def __str__(self) -> str:
        return f"media({self.type or 'any'})"


@dataclass(frozen=True, slots=True)
class Struct:
    """A dict whose keys are the same in every example.

    Parameters
    ----------
    fields
        The values, in order.
    """

    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return "{" + ", ".join(f"{field.name}: {field.type}" for field in self.fields) + "}"


Type = Scalar | Word | Array | Tensor | Timestamp | Date | ClassLabel | Media | Struct


@dataclass(frozen=True, slots=True)
class Field:
    """A named value of an example.

    Parameters
    ----------
    name
        The key.
    type
        A `Scalar`, `Word`, `Array`, `Tensor`, `Timestamp`, `Date`, `ClassLabel`, `Media` or `Struct`.
    nullable
        Whether None is allowed.
    numpy
        Whether a number is returned as a NumPy scalar.
    leaves
        Ids of the physical columns, once numbered.
    """

    name: str
    type: Type
    nullable: bool = False
    numpy: bool = False
    leaves: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """A physical column. width: bytes of a value, 0 for a variable one. element: bytes of an integer in it, else 0."""

    id: int
    path: str
    fixed: bool
    width: int = 0
    element: int = 0
    signed: bool = False
    nullable: bool = False


def number_dtype(kind: Type) -> str | None:
    """The dtype of the numbers that a value is stored as: one, or those of an array; None where it is not numbers."""
    match kind:
        case Scalar(dtype) | Array(dtype) | Tensor(dtype):
            return dtype
        case Timestamp() | ClassLabel():
            return "int64"
        case Date():
            return "int32"
    return None


def element_of(dtype: str) -> tuple[int, bool]:
    kind = SCALARS[dtype]
    whole = dtype.startswith(("int", "uint")) and kind.itemsize > 1
    return (kind.itemsize if whole else 0, dtype.startswith("int"))


def own_leaves(field: Field) -> list[tuple[str, bool, int, int, bool]]:
    """(suffix, fixed, width, element, signed) of a field's own leaves, in order; without those of a struct's fields."""
    match field.type:
        case Word():
            return [("", False, 0, 0, False)]
        case Array(dtype, shape):
            return [("", True, SCALARS[dtype].itemsize * prod(shape), *element_of(dtype))]
        case Tensor(dtype, ndim):
            data = ("", False, 0, *element_of(dtype))
            if ndim == 1:
                return [data]
            return [data, (".shape", False, 0, 0, False) if ndim is None else (".shape", True, 4 * ndim, 4 if ndim else 0, False)]
        case Media(kind):
            data = ("", False, 0, 0, False)
            return [data] if kind is not None else [data, (".type", False, 0, 0, False)]
        case Struct():
            return [("", True, 1, 0, False)] if field.nullable else []
    number = number_dtype(field.type)
    assert number is not None
    return [("", True, SCALARS[number].itemsize, *element_of(number))]


def walk_leaves(fields: tuple[Field, ...], prefix: str = "") -> Iterator[Leaf]:
    """All leaves of numbered fields, in the order of the leaf table."""
    for field in fields:
        path = f"{prefix}{field.name}"
        is_struct = isinstance(field.type, Struct)
        for id, (suffix, fixed, width, element, signed) in zip(field.leaves, own_leaves(field), strict=True):
            yield Leaf(id, path + suffix, fixed, width, element, signed, field.nullable and not is_struct)
        if isinstance(field.type, Struct):
            yield from walk_leaves(field.type.fields, path + ".")


def number_fields(fields: tuple[Field, ...], next_id: int = 0) -> tuple[tuple[Field, ...], int]:
    """Gives every own leaf of every field an id from next_id on, depth first."""
    out = []
    for field in fields:
        count = len(own_leaves(field))
        numbered = replace(field, leaves=tuple(range(next_id, next_id + count)))
        next_id += count
        if isinstance(field.type, Struct):
            inner, next_id = number_fields(field.type.fields, next_id)
            numbered = replace(numbered, type=Struct(inner))
        out.append(numbered)
    return tuple(out), next_id
