"""The types of columns from what users write: `array("uint8", (28, 28))`, "str", `int | None`, a dict."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from operator import index
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.types import SCALARS, UNITS, WORDS, Array, ClassLabel, Date, Field, Media, Scalar, Struct, Tensor, Timestamp, Type, Word


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
