"""Values of type "object": lists, dicts, texts, numbers and datetimes as one MessagePack value, and back."""

from __future__ import annotations

import datetime
import decimal
import enum
import re
from math import prod
from typing import Any

import msgpack
import numpy as np

from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError
from atlas_ds.schema.describe import describe, is_bfloat16, is_tensor, to_numpy
from atlas_ds.schema.fits import too_large
from atlas_ds.schema.named_fields import as_dict
from atlas_ds.schema.times import is_nat
from atlas_ds.schema.types import MAX_DIMENSIONS, MAX_SHAPE, MAX_VALUE, SCALARS

NAIVE_DATETIME = 1
ARRAY = 2
LEAVES = frozenset((str, int, float, bool, type(None), bytes))
MAX_NESTING = 1000  # of lists and dicts in one another; the reader's library stops at 1024
DATETIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?")
WAY_OUT = (
    "Lists, dicts with str keys, str, bytes, bool, int (64 bits), float, None, datetimes and arrays can; "
    "turn anything else into these, or into an array of a constant dtype"
)
CURES = {
    datetime.date: "store value.isoformat(), or declare the column as 'date' with schema=",
    np.datetime64: "store value.item(), or declare the column as atlas.types.timestamp(unit) with schema=",
    datetime.time: "store value.isoformat()",
    datetime.timedelta: "store value.total_seconds()",
    int: "it does not fit 64 bits; store str(value)",
    complex: "store [value.real, value.imag], or a column of type 'complex128'",
    decimal.Decimal: "store str(value), or float(value) where its digits may be rounded",
    set: "store sorted(value)",
    frozenset: "store sorted(value)",
    enum.Enum: "store value.value or value.name",
}


def pack(value: Any, path: str) -> bytes:
    """One MessagePack value; SchemaError names what cannot be stored, LimitError what is too large."""
    try:
        if not check_keys(value):
            value = plain_of(value)
        data = bytes(msgpack.packb(value, default=_pack_other, strict_types=False, datetime=False))
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError, RecursionError, BufferError) as cause:
        words = "it is nested too deeply" if isinstance(cause, RecursionError) else str(cause)
        raise SchemaError(f"column {path!r}: {describe(value)} cannot be stored: {words}. {WAY_OUT}") from cause
    if len(data) > MAX_VALUE:
        raise too_large(path, len(data))
    return data


def _pack_other(value: Any) -> Any:
    if is_nat(value):
        return None
    if isinstance(value, datetime.datetime):
        return _pack_datetime(value)
    if isinstance(value, np.generic) and value.dtype.name in SCALARS and value.dtype.kind in "biuf":
        return value.item()
    if value is np.ma.masked:
        return None
    if isinstance(value, np.ndarray) or is_tensor(value):
        return _pack_array(value)
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} is not one of the types{cure_of(value)}")


def is_text(value: Any) -> bool:
    """Whether a value is an array of text."""
    if not isinstance(value, np.ndarray):
        return False
    if value.dtype.kind == "T":
        return set(map(type, value.ravel().tolist())) <= {str}  # it may have missing values
    return value.dtype.kind == "U" or (value.dtype == np.object_ and value.size > 0 and set(map(type, value.flat)) == {str})


def _pack_array(value: Any) -> msgpack.ExtType:
    """[dtype, lengths of the dimensions, bytes in C order]; of text: "str", and a list of text instead of bytes."""
    if is_bfloat16(value):
        raise TypeError("a bfloat16 tensor has no array of NumPy's: store value.float()")
    array = to_numpy(value)
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array in a list or dict cannot be stored: store value.filled(...), and value.mask beside it")
    if array.ndim > MAX_DIMENSIONS or prod(n or 1 for n in array.shape) > MAX_SHAPE:
        raise TypeError(f"an array in an object has at most {MAX_DIMENSIONS} dimensions, whose lengths multiply to at most 2^30: store value.tolist()")
    if is_text(array):
        if any(text.endswith("\0") for text in array.ravel().tolist()):
            raise TypeError("an array with a text that ends in NUL, which NumPy's texts do not hold, cannot be stored: store value.tolist()")
        return msgpack.ExtType(ARRAY, msgpack.packb(["str", array.shape, array.ravel().tolist()]))
    if array.dtype.kind == "T":
        raise TypeError("an array of text with a missing value is not one of the types: store value.tolist(), or put a text there")
    name = array.dtype.newbyteorder("=").name
    if name not in SCALARS or name == "bfloat16":
        raise TypeError(f"an array of {array.dtype} is not one of the types: store value.tolist(), or another dtype")
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return msgpack.ExtType(ARRAY, msgpack.packb([name, array.shape, little.tobytes()]))


def _unpack_array(data: bytes) -> np.ndarray:
    body = msgpack.unpackb(data, raw=False)
    if not isinstance(body, list) or len(body) != 3 or not isinstance(body[1], list) or not all(type(n) is int and n >= 0 for n in body[1]):
        raise ValueError("an array is not [dtype, shape, values]")
    name, shape, values = body
    if len(shape) > MAX_DIMENSIONS or prod(n or 1 for n in shape) > MAX_SHAPE:
        raise LimitError(f"an array in an object has more than {MAX_DIMENSIONS} dimensions, or lengths that multiply to more than 2^30")
    if name == "str" and isinstance(values, list) and all(isinstance(one, str) for one in values) and len(values) == prod(shape):
        if any(one.endswith("\0") for one in values):
            raise ValueError("a text of an array ends in NUL")
        return np.array(values, np.str_).reshape(shape)
    if name not in SCALARS or name == "bfloat16" or not isinstance(values, bytes) or len(values) != SCALARS[name].itemsize * prod(shape):
        raise ValueError("the dtype, shape and bytes of an array do not match")
    if name == "bool" and values.translate(None, b"\0\1"):
        raise ValueError("a bool in an array is neither 0 nor 1")
    return np.frombuffer(values, SCALARS[name]).reshape(shape).copy()


def plain_of(value: Any) -> Any:
    """The same with dataclasses and named tuples as dicts."""
    given = as_dict(value)
    if given is not None:
        return {name: plain_of(inner) for name, inner in given.items()}
    if isinstance(value, dict):
        return {name: plain_of(inner) for name, inner in value.items()}
    return [plain_of(inner) for inner in value] if isinstance(value, list | tuple) else value


def cure_of(value: Any) -> str:
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


def check_keys(value: Any, depth: int = 0) -> bool:
    """Maps have str keys: msgpack itself would take others and change them. Nothing is nested deeper than a reader follows.

    False where there is a dataclass or a named tuple in it.
    """
    if type(value) in LEAVES:
        return True
    if isinstance(value, msgpack.ExtType | msgpack.Timestamp):
        raise TypeError("a msgpack.ExtType or Timestamp is not one of the types: store bytes, or a datetime")
    plain = True
    if (given := as_dict(value)) is not None:
        check_keys(given, depth + 1)
        return False
    if isinstance(value, dict):
        if depth >= MAX_NESTING:
            raise RecursionError
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a str")
            plain &= check_keys(inner, depth + 1)
    elif isinstance(value, list | tuple):
        if depth >= MAX_NESTING:
            raise RecursionError
        for inner in value:
            plain &= check_keys(inner, depth + 1)
    return plain


def _unpack_ext(code: int, data: bytes) -> Any:
    if code == NAIVE_DATETIME:
        if DATETIME.fullmatch(data) is None:
            raise ValueError("a datetime without time zone is not written as YYYY-MM-DDTHH:MM:SS, with six digits of a fraction or none")
        return datetime.datetime.fromisoformat(data.decode())
    if code == ARRAY:
        return _unpack_array(data)
    raise ValueError(f"extension {code} is not known")


def unpack(data: bytes) -> Any:
    """The value of MessagePack bytes; CorruptError where they are not one."""
    return _unpacked(data, timestamp=3)


def check(data: bytes) -> None:
    """Refuses bytes that unpack takes though they break a rule: a key twice or not str, or a moment finer than a microsecond."""
    found = _unpacked(data, timestamp=0, list_hook=_refuse_inexact, object_pairs_hook=_checked_map)
    try:
        _refuse_inexact([found])
    except (ValueError, OverflowError) as cause:
        raise CorruptError(f"an object is not one MessagePack value: {cause}") from cause


def _checked_map(pairs: list[tuple[Any, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if not all(isinstance(key, str) for key in keys):
        raise ValueError("a key of a map is not str")
    if len(set(keys)) < len(keys):
        raise ValueError("a map has a key twice")
    _refuse_inexact([value for _, value in pairs])


def _refuse_inexact(values: list[Any]) -> None:
    for value in values:
        if isinstance(value, msgpack.Timestamp):
            if value.nanoseconds % 1000:
                raise ValueError("a timestamp has a fraction of a microsecond")
            value.to_datetime()


def _unpacked(data: bytes, **options: Any) -> Any:
    try:
        return msgpack.unpackb(data, ext_hook=_unpack_ext, strict_map_key=True, raw=False, **options)
    except AtlasError:
        raise
    except (msgpack.StackError, RecursionError) as cause:
        raise LimitError("an object is nested too deeply") from cause
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as cause:
        raise CorruptError(f"an object is not one MessagePack value: {cause}") from cause
