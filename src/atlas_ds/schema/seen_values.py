"""What is known of a column from the values seen so far, and what one more value makes of it. Pure: nothing is ever changed in place.

The facts that are kept saturate: their size does not grow with the number of values. They say enough that every value accepted so far can be stored in
the column that a later value makes of it; a value for which that does not hold is refused.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.copies import NAMES, check_dtype
from atlas_ds.schema.describe import describe, is_bfloat16, to_numpy
from atlas_ds.schema.media import Media as MediaValue
from atlas_ds.schema.objects import cure_of, is_text, pack
from atlas_ds.schema.specs import dtype_name
from atlas_ds.schema.times import in_nanoseconds, is_nat
from atlas_ds.schema.types import MAX_DEPTH, SCALARS, Array, Date, Field, Media, Scalar, Struct, Tensor, Timestamp, Type, Word

WAY_OUT = "store arrays of a constant dtype, str, bytes, bool, int, float, None, datetimes, or lists and dicts of these"
KINDS = {
    bool: "bool", int: "int", float: "float", complex: "complex", str: "str", bytes: "bytes", dict: "dict", list: "list", tuple: "list",
    datetime.datetime: "time", datetime.date: "date", np.datetime64: "time64", MediaValue: "media", np.ndarray: "array",
    **dict.fromkeys((dtype.type for dtype in SCALARS.values()), "numpy"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A column so far. null: a value was None, or its key was missing. fact, by kind:

    int: (one is negative, one is 2**63 or more, one is none that float64 holds exactly); float: whether one is an int beyond 64 bits;
    list: the dtype of its numbers, None where all lists are empty; time: (whether datetimes have a time zone, whether nanoseconds do not hold one);
    time64: (the finest unit, whether datetimes have a time zone or None where there is no datetime, whether nanoseconds do not hold one);
    numpy: (dtypes, whether one is an int that float64 does not hold exactly); array: (dtype, shape or None where it differs, the same of ndim);
    media: its type, None where it differs; dict: name to Seen. Other kinds have none. "none": no value but None so far.
    """

    kind: str
    null: bool = False
    fact: Any = None


NOTHING = Seen("none")
ABSENT = Seen("none", null=True)


def merge(seen: Seen, value: Any, path: str, depth: int = 0) -> Seen:
    """The column with one more value (a copy, see copies.py): the same Seen where nothing is new. SchemaError where the value cannot fit."""
    if value is None:
        return seen if seen.null else replace(seen, null=True)
    kind = KINDS.get(type(value)) or other_kind(value, path)
    if kind == "array" and is_text(value):
        kind = "object"
    if kind in ("time", "time64") and is_nat(value):
        return seen if seen.null else replace(seen, null=True)
    rule = RULES.get((seen.kind, kind))
    if rule is None:
        refuse(seen, value, path, "a column has only one type")
    return rule(seen, value, path, depth)


def other_kind(value: Any, path: str) -> str:
    if isinstance(value, datetime.datetime):
        return "time"
    if isinstance(value, datetime.date):
        return "date"
    if isinstance(value, np.generic):
        check_dtype(value, path)
        return "numpy"
    if is_bfloat16(value) and isinstance(to_numpy(value), np.ndarray):
        return "array"  # a torch tensor
    way = cure_of(value) or f": {WAY_OUT}"
    raise SchemaError(f"column {path!r}: a {type(value).__module__}.{type(value).__qualname__} cannot be stored{way}")


def refuse(seen: Seen, value: Any, path: str, why: str) -> NoReturn:
    raise SchemaError(f"column {path!r}: expected {field_of('', seen).type}, got {describe(value)}: {why}")


# --- one more value, by kind ---


def keep(seen: Seen, value: Any, path: str, depth: int) -> Seen:
    return seen


def begin(kind: str, fact: Any = None) -> Callable[[Seen, Any, str, int], Seen]:
    """The rule for the first value of a column: that for one more value of a column without any."""

    def first(seen: Seen, value: Any, path: str, depth: int) -> Seen:
        return RULES[kind, kind](Seen(kind, seen.null, fact), value, path, depth)

    return first


def merge_int(seen: Seen, value: int, path: str, depth: int) -> Seen:
    if 0 <= value <= 1 << 53:
        return seen
    if not -(1 << 63) <= value < 1 << 64:
        raise SchemaError(f"column {path!r}: expected {field_of('', seen).type}, got an int beyond 64 bits, which cannot be stored; store it as str")
    negative, large, inexact = seen.fact
    fact = (negative or value < 0, large or value >= 1 << 63, inexact or not float_holds(value))
    if fact == seen.fact:
        return seen
    if fact[0] and fact[1]:
        refuse(seen, value, path, "one column cannot hold negative ints and ints of 2**63 or more; store them as str")
    return replace(seen, fact=fact)


def int_to_float(seen: Seen, value: float, path: str, depth: int) -> Seen:
    if seen.fact[2]:
        refuse(seen, value, path, "the column would become float64, which does not hold an int before it exactly (beyond 2**53)")
    return Seen("float", seen.null, False)


def float_and_int(seen: Seen, value: int, path: str, depth: int) -> Seen:
    if -(1 << 53) <= value <= 1 << 53:
        return seen
    if not float_holds(value):
        refuse(seen, value, path, "float64 does not hold this int exactly (beyond 2**53); store it as str, or as an int in a column of its own")
    return seen if seen.fact or -(1 << 63) <= value < 1 << 64 else replace(seen, fact=True)


def float_holds(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def merge_numpy(seen: Seen, value: np.generic, path: str, depth: int) -> Seen:
    """NumPy scalars of several dtypes become the dtype that NumPy gives them together, where that holds every value exactly.

    bool mixes with no other; int64 and uint64 (or a smaller signed one) would become floats: refused; 64-bit ints beside floats or complex numbers
    are refused unless float64 holds each of these ints exactly. All other mixes are exact by their dtypes.
    """
    dtypes, inexact = seen.fact
    dtype = value.dtype
    wide = dtype.kind in "iu" and dtype.itemsize == 8 and not inexact and not float_holds(int(value))
    if dtype in dtypes and not wide:
        return seen
    fact = (dtypes | {dtype.newbyteorder("=")}, inexact or wide)
    result = result_of(fact[0])
    kinds = {dtype.kind for dtype in fact[0]}
    if "b" in kinds and len(kinds) > 1:
        refuse(seen, value, path, "a column has only one type")
    if result.kind in "fc" and kinds <= {"i", "u"}:
        refuse(seen, value, path, f"together they would become {result}, which does not hold them exactly: give the schema, or convert them to one dtype")
    if result.kind in "fc" and fact[1]:
        refuse(seen, value, path, f"together they would become {result}, which does not hold one of the ints exactly (beyond 2**53)")
    return Seen("numpy", seen.null, fact)


def result_of(dtypes: frozenset[np.dtype[Any]]) -> np.dtype[Any]:
    return np.result_type(*sorted(dtypes, key=str))


def merge_array(seen: Seen, value: Any, path: str, depth: int) -> Seen:
    name = NAMES.get(value.dtype) if type(value) is np.ndarray else None
    name = name or ("bfloat16" if is_bfloat16(value) else dtype_name(value.dtype))
    shape = tuple(value.shape)
    if seen.fact is None:
        return Seen("array", seen.null, (name, shape, len(shape)))
    dtype, old_shape, ndim = seen.fact
    if dtype != name:
        refuse(seen, value, path, "a column's arrays have one dtype")
    if shape == old_shape:
        return seen
    fact = (dtype, None, ndim if ndim == len(shape) else None)
    return seen if fact == seen.fact else Seen("array", seen.null, fact)


def merge_list(seen: Seen, value: list[Any] | tuple[Any, ...], path: str, depth: int) -> Seen:
    """A column of lists with one more: all of ints, all of floats or all of bools, or else objects."""
    if not value:
        return seen if seen.kind == "list" else Seen("list", seen.null)
    found = dtype_of_list(value)
    if found is None or seen.fact not in (None, found):
        return list_to_object(seen, value, path, depth)
    return seen if seen.kind == "list" and seen.fact == found else Seen("list", seen.null, found)


def dtype_of_list(value: list[Any] | tuple[Any, ...]) -> str | None:
    """The dtype of a list of numbers of one kind; None for any other list."""
    kinds = set(map(type, value))
    if len(kinds) != 1:
        return None
    kind = kinds.pop()
    if kind is int:
        return "int64" if min(value) >= -(1 << 63) and max(value) < 1 << 63 else None
    if kind in (float, bool):
        return "float64" if kind is float else "bool"
    dtype = NAMES.get(np.dtype(kind)) if issubclass(kind, np.generic) and kind in NUMPY_SCALARS else None
    return dtype if dtype is not None and dtype[:3] in ("boo", "int", "uin", "flo") else None


def list_to_object(seen: Seen, value: Any, path: str, depth: int) -> Seen:
    """A column of lists becomes one of objects, which hold all that lists hold."""
    pack(value, path)
    return Seen("object", seen.null)


def first_time(seen: Seen, value: datetime.datetime, path: str, depth: int) -> Seen:
    aware = value.utcoffset() is not None
    if finer(value):
        return Seen("time64", seen.null, ("ns", aware, False))
    return Seen("time", seen.null, (aware, not in_nanoseconds(value, path)))


def merge_time(seen: Seen, value: datetime.datetime, path: str, depth: int) -> Seen:
    """Datetimes with and without a time zone together are objects: neither can be made the other."""
    aware, beyond = seen.fact
    if finer(value):
        return with_moment(seen, ("us", aware, beyond), value, path)
    if (value.utcoffset() is not None) != aware:
        return list_to_object(seen, value, path, depth)
    return seen if beyond or in_nanoseconds(value, path) else replace(seen, fact=(aware, True))


def time_and_time64(seen: Seen, value: np.datetime64, path: str, depth: int) -> Seen:
    return with_moment(seen, ("us", *seen.fact), value, path)


def merge_time64(seen: Seen, value: np.datetime64 | datetime.datetime, path: str, depth: int) -> Seen:
    """The finest unit of all; days alone are dates."""
    return with_moment(seen, seen.fact or ("D", None, False), value, path)


def with_moment(seen: Seen, fact: tuple[str, bool | None, bool], value: np.datetime64 | datetime.datetime, path: str) -> Seen:
    """A column of a unit with one more moment. datetime64 has no time zone: beside datetimes that have one it is in UTC."""
    unit, aware, beyond = fact
    if isinstance(value, np.datetime64):
        own, zoned = np.datetime_data(value.dtype)[0], aware
        if own not in UNIT_ORDER:
            raise SchemaError(f"column {path!r}: got {describe(value)} of unit {own}: {UNIT_CURE}")
        own = "s" if own in ("h", "m") else own
    else:
        own, zoned = "ns" if finer(value) else "us", value.utcoffset() is not None
        if aware not in (None, zoned):
            refuse(seen, value, path, "datetimes with and without a time zone, or beside datetime64, are not one column: give all of them one, or none")
    beyond = beyond or not in_nanoseconds(value, path)
    unit = max(unit, own, key=UNIT_ORDER.index)
    if unit == "ns" and beyond:
        refuse(seen, value, path, "together they would be of unit ns, which holds the years 1677 to 2262: round them to microseconds")
    new = (unit, zoned, beyond)
    return seen if seen.kind == "time64" and new == seen.fact else Seen("time64", seen.null, new)


def day_and_time64(seen: Seen, value: np.datetime64, path: str, depth: int) -> Seen:
    """Days of datetime.date and of datetime64[D] are dates."""
    if np.datetime_data(value.dtype)[0] != "D":
        refuse(seen, value, path, "a column has only one type")
    return seen


def time64_and_day(seen: Seen, value: datetime.date, path: str, depth: int) -> Seen:
    if seen.fact[0] != "D":
        refuse(seen, value, path, "a day is not a moment: give a datetime")
    return Seen("date", seen.null)


def finer(value: Any) -> bool:
    return bool(getattr(value, "nanosecond", 0))


def first_media(seen: Seen, value: MediaValue, path: str, depth: int) -> Seen:
    return Seen("media", seen.null, value.type)


def merge_media(seen: Seen, value: MediaValue, path: str, depth: int) -> Seen:
    return seen if seen.fact is None or seen.fact == value.type else replace(seen, fact=None)


def first_dict(seen: Seen, value: dict[str, Any], path: str, depth: int) -> Seen:
    if not value:
        return Seen("object", seen.null)
    if depth >= MAX_DEPTH:
        raise LimitError(f"column {path[:80]!r}...: dicts are nested deeper than {MAX_DEPTH}")
    return Seen("dict", seen.null, {name: merge(NOTHING, inner, f"{path}.{name}", depth + 1) for name, inner in value.items()})


def merge_dict(seen: Seen, value: dict[str, Any], path: str, depth: int) -> Seen:
    if value.keys() != seen.fact.keys():
        return to_object(seen, value, path, depth)
    changed = {}
    for name, inner in value.items():
        old = seen.fact[name]
        new = merge(old, inner, f"{path}.{name}", depth + 1)
        if new is not old:
            changed[name] = new
    return replace(seen, fact=seen.fact | changed) if changed else seen


def to_object(seen: Seen, value: Any, path: str, depth: int) -> Seen:
    """A column of dicts with the same keys becomes one of objects: at a dict with other keys, or at a list."""
    rule = f"a column of dicts with other keys than {', '.join(map(repr, list(seen.fact)[:8]))}, or of lists, holds objects, and"
    cure = "give every dict the same keys (None where there is no value)"
    if (what := not_packed(seen, path)) is not None:
        refuse(seen, value, path, f"{rule} {what} before this example cannot be part of one: {cure}")
    try:
        pack(value, path)
    except SchemaError as cause:
        raise SchemaError(f"{cause}. {rule[0].upper()}{rule[1:]} this one cannot be one: {cure}") from cause
    return Seen("object", seen.null)


def not_packed(seen: Seen, path: str) -> str | None:
    """The first value in a column that an object cannot hold: its path and type; None where objects can hold all."""
    if seen.kind == "dict":
        return next((what for name, inner in seen.fact.items() if (what := not_packed(inner, f"{path}.{name}")) is not None), None)
    if seen.kind == "array" and seen.fact[0] != "bfloat16":
        return None
    if seen.kind in ("complex", "date", "time64", "array", "media") or (seen.kind == "numpy" and any(dtype.kind not in "biuf" for dtype in seen.fact[0])):
        return f"{path!r} ({field_of('', seen).type})"
    return f"{path!r} (an int beyond 64 bits)" if seen.kind == "float" and seen.fact else None


UNIT_ORDER = ("D", "h", "m", "s", "ms", "us", "ns")
UNIT_CURE = "the units are D, h, m, s, ms, us and ns: convert it, with value.astype('datetime64[D]'), or another of these"
NUMPY_SCALARS = frozenset(dtype.type for dtype in SCALARS.values())
PLAIN_KINDS = ("bool", "complex", "str", "bytes", "object", "date")
RULES: dict[tuple[str, str], Callable[[Seen, Any, str, int], Seen]] = {
    **{(kind, kind): keep for kind in (*PLAIN_KINDS, "float")},
    **{("none", kind): begin(kind) for kind in (*PLAIN_KINDS, "array")},
    ("none", "int"): begin("int", (False, False, False)),
    ("int", "int"): merge_int,
    ("int", "float"): int_to_float,
    ("none", "float"): begin("float", False),
    ("float", "int"): float_and_int,
    ("none", "numpy"): begin("numpy", (frozenset(), False)),
    ("numpy", "numpy"): merge_numpy,
    ("array", "array"): merge_array,
    ("none", "media"): first_media,
    ("media", "media"): merge_media,
    ("none", "dict"): first_dict,
    ("dict", "dict"): merge_dict,
    ("dict", "list"): to_object,
    ("dict", "time"): to_object,
    **{("object", kind): keep for kind in ("dict", "list", "time")},
    ("none", "list"): merge_list,
    ("list", "list"): merge_list,
    ("list", "dict"): list_to_object,
    ("list", "time"): list_to_object,
    ("none", "time"): first_time,
    ("time", "time"): merge_time,
    ("time", "list"): list_to_object,
    ("time", "dict"): list_to_object,
    ("list", "object"): list_to_object,
    ("time", "object"): list_to_object,
    ("dict", "object"): to_object,
    ("none", "time64"): begin("time64"),
    ("time64", "time64"): merge_time64,
    ("time64", "time"): merge_time64,
    ("time", "time64"): time_and_time64,
    ("date", "time64"): day_and_time64,
    ("time64", "date"): time64_and_day,
}


# --- the field that a column is ---

TYPES: dict[str, Type] = {
    "none": Word("object"),  # only None so far: an object holds that, and anything later
    "object": Word("object"),
    "bool": Scalar("bool"),
    "date": Date(),
    "float": Scalar("float64"),
    "complex": Scalar("complex128"),
    "str": Word("str"),
    "bytes": Word("bytes"),
}


def field_of(name: str, seen: Seen) -> Field:
    """The field of a column that holds what was seen."""
    kind = TYPES.get(seen.kind) or type_of(seen)
    return Field(name, kind, nullable=seen.null and kind != Word("object"), numpy=seen.kind in ("numpy", "time64"))  # None is one of an object's values


def type_of(seen: Seen) -> Type:
    fact = seen.fact
    match seen.kind:
        case "int":
            return Scalar("uint64" if fact[1] else "int64")
        case "numpy":
            return Scalar(dtype_name(result_of(fact[0]))) if fact[0] else Word("object")
        case "array":
            dtype, shape, ndim = fact
            return Array(dtype, shape) if shape is not None else Tensor(dtype, ndim)
        case "list":
            return Tensor(fact, 1, True) if fact is not None else Word("object")
        case "time":
            return Timestamp("us", "UTC" if fact[0] else None)
        case "time64":
            return Date() if fact[0] == "D" else Timestamp(fact[0], "UTC" if fact[1] else None)
        case "media":
            return Media(fact)
        case _:
            return Struct(tuple(field_of(name, inner) for name, inner in fact.items()))
