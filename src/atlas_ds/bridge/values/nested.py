"""Decodes and encodes nested values (dicts, lists, numbers, text) as JSON, MessagePack or CBOR. The
only file that imports cbor2.

All lengths are checked against the available bytes before a value is built, and depth is limited.
"""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np

from atlas_ds.bridge.opening import not_utf8
from atlas_ds.errors import CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.describe import describe
from atlas_ds.schema.objects import check_keys, pack, unpack
from atlas_ds.schema.types import SCALARS

MAX_CBOR_DEPTH = 256  # below cbor2's own limit (400), which raises another error
CBOR_TAGS = frozenset((0, 1, 2, 3, 55799))  # dates, large integers, "this is CBOR"; others may build objects of any kind


def decode_text(data: bytes, where: str) -> str:
    """UTF-8 text. CorruptError names the first invalid byte."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(where, error, f"byte {error.start}") from error


def decode_json(data: bytes, where: str) -> object:
    """Any JSON value, and NaN and Infinity as Python writes them."""
    text = decode_text(data, where).removeprefix("\ufeff")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CorruptError(f"{where}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}; correct or remove the file") from error
    except ValueError as error:  # an integer of thousands of digits
        raise LimitError(f"{where}: JSON: {error}; write the number as text") from error
    except RecursionError as error:
        raise UnsupportedError(f"{where}: JSON nested too deeply; flatten it") from error


def encode_json(value: object, where: str) -> bytes:
    """The value as JSON, if JSON holds it exactly: no bytes, no dates, and text as keys."""
    try:
        check_keys(value)
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain_number).encode()
    except (TypeError, ValueError, RecursionError) as error:  # a lone surrogate is a ValueError
        raise SchemaError(f"{where}: {describe(value)} cannot be JSON: {error}; write it as msgpack") from error


def _plain_number(value: object) -> Any:
    if isinstance(value, np.generic) and value.dtype.name in SCALARS and value.dtype.kind != "c":
        return value.item()
    raise TypeError(f"JSON has no {type(value).__qualname__}")


def decode_msgpack(data: bytes, where: str) -> object:
    """One MessagePack value with text as keys; datetimes as Atlas writes them."""
    reader = msgpack.Unpacker(max_buffer_size=max(1, len(data)))
    reader.feed(data)
    try:
        reader.skip()  # builds nothing, so a false length costs nothing
    except msgpack.StackError as error:
        raise LimitError(f"{where}: MessagePack nested too deeply; flatten it") from error
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptError(f"{where}: not MessagePack, or truncated: {error}; write it again") from error
    try:
        return unpack(data)
    except LimitError as error:
        raise LimitError(f"{where}: {error}; flatten it") from error
    except CorruptError as error:
        raise (_foreign_msgpack(data, where) or CorruptError(f"{where}: {error}; write it again")) from error


def _foreign_msgpack(data: bytes, where: str) -> UnsupportedError | None:
    """The error for valid MessagePack with values that Atlas does not have; None if it is
    invalid."""
    try:
        msgpack.unpackb(data, strict_map_key=False, raw=False)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    return UnsupportedError(f"{where}: MessagePack with keys that are not text, or with extension types; Atlas has neither: read it as bytes")


def encode_msgpack(value: object, where: str) -> bytes:
    try:
        return pack(value, where)
    except SchemaError as error:
        raise SchemaError(f"{where}: {describe(value)} cannot be MessagePack: {error.__cause__}") from error


def decode_cbor(data: bytes, where: str) -> object:
    """One CBOR value. Of the tags, only dates and large integers are read."""
    _check_cbor(data, where)
    cbor2 = _cbor2(where)
    try:
        return cbor2.loads(data)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, EOFError, OSError) as error:  # OSError: a date out of range
        raise CorruptError(f"{where}: not CBOR: {error}; write it again") from error


def encode_cbor(value: object, where: str) -> bytes:
    cbor2 = _cbor2(where)
    _check_depth(value, where)
    try:
        data = bytes(cbor2.dumps(value))
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SchemaError(f"{where}: {describe(value)} cannot be CBOR: {error}") from error
    _check_cbor(data, where)  # so that it can be read back
    return data


def _check_depth(value: object, where: str) -> None:
    """Checked before cbor2 is called: its recursion on a deep or cyclic value would abort the
    process."""
    level = [value]
    for _ in range(MAX_CBOR_DEPTH):
        lists = {id(inner): inner for inner in level if isinstance(inner, list | tuple | dict | set | frozenset)}  # each once, even if it occurs several times
        if not lists:
            return
        level = [part for inner in lists.values() for part in ((*inner.keys(), *inner.values()) if isinstance(inner, dict) else inner)]
    raise LimitError(f"{where}: nested deeper than {MAX_CBOR_DEPTH}, the limit for CBOR; flatten it")


def _cbor2(where: str) -> Any:
    try:
        import cbor2
    except ImportError as error:
        raise ImportError(f"{where}: CBOR needs cbor2: pip install 'atlas-ds[cbor]'") from error
    return cbor2


def _check_cbor(data: bytes, where: str) -> None:
    """Scans the value without building it, and checks that all lengths fit, tags are known,
    depth is limited, and nothing follows."""
    at = 0
    left = [1]  # remaining values per level; -1: until a break
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        if at >= len(data):
            raise CorruptError(f"{where}: byte {at}: CBOR is truncated; fetch or write it again")
        if data[at] == 0xFF and left[-1] == -1:
            left.pop()
            at += 1
            continue
        left[-1] -= left[-1] > 0
        major, count, after = _cbor_head(data, at, where)
        if major in (2, 3) and count >= 0:
            after += count
        elif 2 <= major <= 5:
            count = 2 * count if major == 5 and count > 0 else count
            left.append(count)
        elif major == 6:
            left.append(1)
        if after + max(left[-1] if major in (4, 5) else 0, 0) > len(data):
            raise CorruptError(f"{where}: byte {at}: CBOR declares more than the {len(data)} available bytes; fetch or write it again")
        if len(left) > MAX_CBOR_DEPTH:
            raise LimitError(f"{where}: byte {at}: CBOR nested deeper than {MAX_CBOR_DEPTH}; flatten it")
        at = after
    if at != len(data):
        raise CorruptError(f"{where}: byte {at}: {len(data) - at} bytes after the CBOR value; write it again")


def _cbor_head(data: bytes, at: int, where: str) -> tuple[int, int, int]:
    """Major type, its number (-1: not known before the end), and the place after it."""
    major, info = data[at] >> 5, data[at] & 31
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    number = info if info < 24 else -1 if info == 31 else int.from_bytes(data[at + 1 : at + 1 + size])
    if 28 <= info <= 30 or (info == 31 and major not in (2, 3, 4, 5)) or at + 1 + size > len(data):
        raise CorruptError(f"{where}: byte {at}: not CBOR, or truncated; fetch or write it again")
    if major == 6 and number not in CBOR_TAGS:
        raise UnsupportedError(f"{where}: byte {at}: CBOR tag {number} is not supported, only those of dates and integers are; read it as bytes")
    return major, number, at + 1 + size
