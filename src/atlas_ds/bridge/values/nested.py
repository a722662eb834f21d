"""Nested values (dicts, lists, numbers, text) as JSON, MessagePack or CBOR, both ways. The only file that imports cbor2.

All lengths are checked against the bytes that are there before a value is built, and depth is limited.
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

MAX_CBOR_DEPTH = 256  # cbor2 has a limit of its own (400), whose error is its own, too
CBOR_TAGS = frozenset((0, 1, 2, 3, 55799))  # dates, large whole numbers, "this is CBOR"; others may build objects of any kind


def decode_text(data: bytes, where: str) -> str:
    """UTF-8 text; CorruptError names the byte that is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(where, error, f"byte {error.start}") from error


def decode_json(data: bytes, where: str) -> object:
    """Any JSON value; NaN and Infinity too, as Python writes them."""
    text = decode_text(data, where).removeprefix("\ufeff")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CorruptError(f"{where}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}; correct or remove the file") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise LimitError(f"{where}: JSON: {error}; write the number as text") from error
    except RecursionError as error:
        raise UnsupportedError(f"{where}: JSON nested too deeply; flatten it") from error


def encode_json(value: object, where: str) -> bytes:
    """The value as JSON if that holds it exactly: no bytes, no dates, keys that are text."""
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
        reader.skip()  # builds nothing, so a length that lies costs nothing
    except msgpack.StackError as error:
        raise LimitError(f"{where}: MessagePack nested too deep; flatten it") from error
    except (ValueError, msgpack.UnpackException) as error:
        raise CorruptError(f"{where}: not MessagePack, or cut off: {error}; write it again") from error
    try:
        return unpack(data)
    except LimitError as error:
        raise LimitError(f"{where}: {error}; flatten it") from error
    except CorruptError as error:
        raise (_foreign_msgpack(data, where) or CorruptError(f"{where}: {error}; write it again")) from error


def _foreign_msgpack(data: bytes, where: str) -> UnsupportedError | None:
    """The error for MessagePack that is right, but has what Atlas does not; None if it is wrong."""
    try:
        msgpack.unpackb(data, strict_map_key=False, raw=False)
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    return UnsupportedError(f"{where}: MessagePack with keys that are no text, or with extension types; Atlas knows neither: read it as bytes")


def encode_msgpack(value: object, where: str) -> bytes:
    try:
        return pack(value, where)
    except SchemaError as error:
        raise SchemaError(f"{where}: {describe(value)} cannot be MessagePack: {error.__cause__}") from error


def decode_cbor(data: bytes, where: str) -> object:
    """One CBOR value; of the tags only dates and large whole numbers."""
    _check_cbor(data, where)
    cbor2 = _cbor2(where)
    try:
        return cbor2.loads(data)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, EOFError, OSError) as error:  # OSError: a date no calendar has
        raise CorruptError(f"{where}: not CBOR: {error}; write it again") from error


def encode_cbor(value: object, where: str) -> bytes:
    cbor2 = _cbor2(where)
    _check_depth(value, where)
    try:
        data = bytes(cbor2.dumps(value))
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SchemaError(f"{where}: {describe(value)} cannot be CBOR: {error}") from error
    _check_cbor(data, where)  # what is written can be read
    return data


def _check_depth(value: object, where: str) -> None:
    """Before cbor2 sees it: its recursion on a deep value, or on one that holds itself, ends the process."""
    level = [value]
    for _ in range(MAX_CBOR_DEPTH):
        lists = {id(inner): inner for inner in level if isinstance(inner, list | tuple | dict | set | frozenset)}  # each once, however often it is held
        if not lists:
            return
        level = [part for inner in lists.values() for part in ((*inner.keys(), *inner.values()) if isinstance(inner, dict) else inner)]
    raise LimitError(f"{where}: nested deeper than {MAX_CBOR_DEPTH}, which CBOR is not written with; flatten it")


def _cbor2(where: str) -> Any:
    try:
        import cbor2
    except ImportError as error:
        raise ImportError(f"{where}: CBOR needs cbor2: pip install 'atlas-ds[cbor]'") from error
    return cbor2


def _check_cbor(data: bytes, where: str) -> None:
    """Walks over the value without building it: every length is covered by bytes, tags are known, depth is limited, nothing follows."""
    at = 0
    left = [1]  # values still to come, per level; -1: until a break
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        if at >= len(data):
            raise CorruptError(f"{where}: byte {at}: CBOR is cut off; fetch or write it again")
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
            raise CorruptError(f"{where}: byte {at}: CBOR announces more than the {len(data)} bytes that are there; fetch or write it again")
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
        raise CorruptError(f"{where}: byte {at}: not CBOR, or cut off; fetch or write it again")
    if major == 6 and number not in CBOR_TAGS:
        raise UnsupportedError(f"{where}: byte {at}: CBOR tag {number} is not read, only dates and whole numbers; read it as bytes")
    return major, number, at + 1 + size
