"""The closed list of logical types, and how each maps to physical leaves. Nothing here looks at examples or bytes.

A leaf is what the C core knows: a column of values of constant width (fixed) or of any length (variable).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from operator import index
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from atlas_ds.errors import SchemaError

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


def array(dtype: str | np.dtype[Any], shape: tuple[int, ...] | list[int]) -> Array:
    """Makes the type of an array of one dtype and shape, such as `array("uint8", (28, 28))`.

    Parameters
    ----------
    dtype
        The dtype, or its name.
    shape
        The length of each dimension.

    Raises
    ------
    SchemaError
        The dtype cannot be stored.
    """
    return Array(dtype_name(dtype), tuple(index(n) for n in shape))


def tensor(dtype: str | np.dtype[Any], ndim: int | None = None) -> Tensor:
    """Makes the type of an array whose shape differs by example, such as `tensor("float32", 2)`.

    Parameters
    ----------
    dtype
        The dtype, or its name.
    ndim
        The number of dimensions; None: it differs, too.

    Raises
    ------
    SchemaError
        The dtype cannot be stored.
    """
    return Tensor(dtype_name(dtype), ndim)


def list_of(dtype: str | np.dtype[Any], length: int | None = None) -> Tensor | Array:
    """Makes the type of a list of numbers, such as `atlas.types.list("int64")`.

    An example has a list of ints, floats or bools. A batch has a `Ragged`, or an array if the
    length is given.

    Parameters
    ----------
    dtype
        The dtype of the numbers, or its name.
    length
        The length of every list; None: it differs.

    Raises
    ------
    SchemaError
        The dtype cannot be stored.
    """
    return Tensor(dtype_name(dtype), 1, True) if length is None else Array(dtype_name(dtype), (index(length),), True)


def timestamp(unit: Literal["s", "ms", "us", "ns"] = "us", tz: str | None = None) -> Timestamp:
    """Makes the type of a moment, such as `timestamp("us", "UTC")`.

    Parameters
    ----------
    unit
        "s", "ms", "us" or "ns": what is counted. Python's datetimes have microseconds.
    tz
        The time zone that datetimes are returned in, such as "UTC", "Europe/Berlin" or "+02:00";
        None: they have none.

    Raises
    ------
    SchemaError
        The unit or the time zone is not known.
    """
    return Timestamp(unit, tz)


def date() -> Date:
    """Makes the type of a day. The text "date" means the same."""
    return Date()


def class_label(names: Sequence[str]) -> ClassLabel:
    """Makes the type of a class, such as `class_label(["cat", "dog"])`.

    Parameters
    ----------
    names
        The name of each class, all different; class 0 is the first. Examples are given by number or
        by name, and return the number. Appending may only add names.

    Raises
    ------
    SchemaError
        There is no name, or two are the same.
    """
    if isinstance(names, str):
        raise SchemaError(f"class_label({names!r}): the names of the classes must be a list of str, such as [{names!r}]")
    return ClassLabel(tuple(names))


def media(type: str | None = None) -> Media:
    """Makes the type of encoded images, audio or video, such as `media("image/jpeg")`.

    Parameters
    ----------
    type
        The media type; None: it differs by example.
    """
    return Media(type)


def struct(fields: dict[str, Any]) -> Struct:
    """Makes the type of a dict with constant keys, such as `struct({"line": "int64"})`.

    The dict itself means the same.

    Parameters
    ----------
    fields
        The type of each key.
    """
    return Struct(tuple(make_field(name, spec) for name, spec in fields.items()))


def nullable(spec: Any) -> Field:
    """Allows None, such as `{"caption": nullable("str")}`.

    None is one of the values of type "object" anyway.

    Parameters
    ----------
    spec
        A type.
    """
    field = make_field("", spec)
    return replace(field, nullable=field.type != Word("object"))


ELSE = 'text: "str", or a list of str; moments: atlas.types.timestamp, "date", or in an array int64; anything: "object"'


def dtype_name(dtype: str | np.dtype[Any]) -> str:
    """The name of a dtype in the closed list; SchemaError otherwise."""
    if isinstance(dtype, str) and dtype in SCALARS:
        return dtype
    if dtype is None:
        raise SchemaError(f"None is not a dtype; it must be one of {', '.join(SCALARS)}")
    try:
        name = np.dtype(dtype).newbyteorder("=").name
    except TypeError as cause:
        raise SchemaError(f"dtype {dtype!r} is not one of {', '.join(SCALARS)} ({ELSE})") from cause
    if name not in SCALARS:
        raise SchemaError(f"dtype {name} cannot be stored; it must be one of {', '.join(SCALARS)} ({ELSE})")
    return name


NUMBERS = {int: "int64", float: "float64", bool: "bool"}
NAMED: dict[str, Type] = {
    **{word: Word(word) for word in WORDS}, "date": Date(), "datetime64[D]": Date(), "timestamp": Timestamp("us"),
    **{f"datetime64[{unit}]": Timestamp(unit) for unit in UNITS},
}  # fmt: skip
OF_PYTHON: dict[type, Type] = {
    **{kind: Scalar(name) for kind, name in NUMBERS.items()}, str: Word("str"), bytes: Word("bytes"), datetime.datetime: Timestamp("us"), datetime.date: Date(),
}  # fmt: skip


def make_type(spec: Any) -> Type:
    """A type from what a user writes: a type, a name, a NumPy dtype, or a dict (struct)."""
    if isinstance(spec, Scalar | Word | Array | Tensor | Timestamp | Date | ClassLabel | Media | Struct):
        if isinstance(spec, Scalar | Array | Tensor):
            dtype_name(spec.dtype)
        return spec
    if isinstance(spec, dict):
        return struct(spec)
    if isinstance(spec, str) and spec in NAMED:
        return NAMED[spec]
    if isinstance(spec, type) and spec in OF_PYTHON:
        return OF_PYTHON[spec]
    origin, (inner, *_) = get_origin(spec) or spec, get_args(spec) or (None,)
    if origin is list and isinstance(inner, type) and (inner in NUMBERS or issubclass(inner, np.number | np.bool_)):
        return list_of(NUMBERS.get(inner) or np.dtype(inner))
    if any(origin is kind for kind in (list, tuple, dict)):
        raise SchemaError(f'{spec} is not a type of a column: "object" is any list or dict, atlas.types.list("int64") a list of ints')
    if isinstance(spec, np.dtype) and spec.kind == "M":
        unit = np.datetime_data(spec)[0]
        return Date() if unit == "D" else Timestamp(unit)
    return Scalar(dtype_name(spec))


def make_field(name: str, spec: Any) -> Field:
    if isinstance(spec, Field):
        return replace(spec, name=name)
    given = get_args(spec) if get_origin(spec) in (UnionType, Union) else ()
    if len(given) == 2 and NoneType in given:  # such as int | None
        return replace(nullable(given[given[0] is NoneType]), name=name)
    if given:
        raise SchemaError(f'column {name!r}: {spec} is not one type: give one, in atlas.types.nullable(...) where there may be None, or "object"')
    return Field(name, make_type(spec))


def element_of(dtype: str) -> tuple[int, bool]:
    kind = SCALARS[dtype]
    whole = dtype.startswith(("int", "uint")) and kind.itemsize > 1
    return (kind.itemsize if whole else 0, dtype.startswith("int"))


def own_leaves(field: Field) -> list[tuple[str, bool, int, int, bool]]:
    """(suffix, fixed, width, element, signed) of a field's own leaves, in order; without those of a struct's fields."""
    match field.type:
        case Scalar(dtype):
            return [("", True, SCALARS[dtype].itemsize, *element_of(dtype))]
        case Word():
            return [("", False, 0, 0, False)]
        case Array(dtype, shape):
            return [("", True, SCALARS[dtype].itemsize * prod(shape), *element_of(dtype))]
        case Tensor(dtype, ndim):
            data = ("", False, 0, *element_of(dtype))
            if ndim == 1:
                return [data]
            return [data, (".shape", False, 0, 0, False) if ndim is None else (".shape", True, 4 * ndim, 4 if ndim else 0, False)]
        case Timestamp() | ClassLabel():
            return [("", True, 8, 8, True)]
        case Date():
            return [("", True, 4, 4, True)]
        case Media(kind):
            data = ("", False, 0, 0, False)
            return [data] if kind is not None else [data, (".type", False, 0, 0, False)]
        case Struct():
            return [("", True, 1, 0, False)] if field.nullable else []


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
