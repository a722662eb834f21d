"""Values of type "object": lists, dicts, texts, numbers and datetimes as one MessagePack value, and back."""

from __future__ import annotations

import datetime
import enum
from typing import Any

import msgpack
import numpy as np

from atlas_ds.errors import CorruptError, LimitError, SchemaError
from atlas_ds.schema.describe import describe, is_tensor
from atlas_ds.schema.fits import too_large
from atlas_ds.schema.types import MAX_VALUE, SCALARS

NAIVE_DATETIME = 1
LEAVES = frozenset((str, int, float, bool, type(None), bytes))
MAX_NESTING = 1000  # of lists and dicts in one another; the reader's library stops at 1024
WAY_OUT = (
    "Lists, dicts with str keys, str, bytes, bool, int (64 bits), float, None and datetimes can; "
    "turn anything else into these, or into an array of a constant dtype"
)
CURES = {
    datetime.date: "store value.isoformat()",
    datetime.time: "store value.isoformat()",
    datetime.timedelta: "store value.total_seconds()",
    int: "it does not fit 64 bits; store str(value)",
    complex: "store [value.real, value.imag], or a column of type 'complex128'",
    set: "store sorted(value)",
    frozenset: "store sorted(value)",
    enum.Enum: "store value.value or value.name",
}


def pack(value: Any, path: str) -> bytes:
    """One MessagePack value; SchemaError names what cannot be stored, LimitError what is too large."""
    try:
        check_keys(value)
        data = bytes(msgpack.packb(value, default=_pack_other, strict_types=False, datetime=False))
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError, RecursionError, BufferError) as cause:
        words = "it is nested too deeply" if isinstance(cause, RecursionError) else str(cause)
        raise SchemaError(f"column {path!r}: {describe(value)} cannot be stored: {words}. {WAY_OUT}") from cause
    if len(data) > MAX_VALUE:
        raise too_large(path, len(data))
    return data


def _pack_other(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return _pack_datetime(value)
    if isinstance(value, np.generic) and value.dtype.name in SCALARS and value.dtype.kind in "biuf":
        return value.item()
    if value is np.ma.masked:
        return None
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} is not one of the types{_cure(value)}")


def _cure(value: Any) -> str:
    if isinstance(value, np.ndarray) or is_tensor(value):
        return ": store value.tolist(), or give the array a column of its own"
    return next((f": {cure}" for kind, cure in CURES.items() if isinstance(value, kind)), "")


def _pack_datetime(value: datetime.datetime) -> msgpack.ExtType | msgpack.Timestamp:
    """An aware datetime as a moment, a naive one as its text."""
    if getattr(value, "nanosecond", 0):
        raise TypeError(f"{describe(value)} has nanoseconds, which a datetime does not have: store its nanoseconds as int, or value.floor('us')")
    moment = value
    if type(value) is not datetime.datetime:  # of a class derived from it, whose methods may say anything
        day = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
        moment = datetime.datetime(*day, tzinfo=value.tzinfo, fold=value.fold)
    if moment.tzinfo is None:
        return msgpack.ExtType(NAIVE_DATETIME, moment.isoformat().encode())
    if moment.utcoffset() is None:
        raise TypeError(f"{describe(value)} has a time zone without an offset: remove it with value.replace(tzinfo=None)")
    return msgpack.Timestamp.from_datetime(moment.astimezone(datetime.UTC))


def check_keys(value: Any, depth: int = 0) -> None:
    """Maps have str keys: msgpack itself would take others and change them. Nothing is nested deeper than a reader follows."""
    if type(value) in LEAVES:
        return
    if isinstance(value, dict):
        if depth > MAX_NESTING:
            raise RecursionError
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a str")
            check_keys(inner, depth + 1)
    elif isinstance(value, msgpack.ExtType | msgpack.Timestamp):
        raise TypeError("a msgpack.ExtType or Timestamp is not one of the types: store bytes, or a datetime")
    elif isinstance(value, list | tuple):
        if depth > MAX_NESTING:
            raise RecursionError
        for inner in value:
            check_keys(inner, depth + 1)


def _unpack_ext(code: int, data: bytes) -> Any:
    if code == NAIVE_DATETIME:
        moment = datetime.datetime.fromisoformat(data.decode())
        if moment.tzinfo is not None:
            raise ValueError("a naive datetime has a time zone")
        return moment
    raise ValueError(f"extension {code} is not known")


def unpack(data: bytes) -> Any:
    """The value of MessagePack bytes; CorruptError where they are not one."""
    try:
        return msgpack.unpackb(data, ext_hook=_unpack_ext, timestamp=3, strict_map_key=True, raw=False)
    except (msgpack.StackError, RecursionError) as cause:
        raise LimitError("an object is nested too deeply") from cause
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as cause:
        raise CorruptError(f"an object is not one MessagePack value: {cause}") from cause
