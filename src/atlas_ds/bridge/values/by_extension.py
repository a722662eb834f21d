"""Decodes and encodes values by file name extension: the project's only table of extensions. It
works on bytes and opens no file.

The last part of a dotted extension decides ("seg.png" is a png), in upper or lower case. Files with
other extensions are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.values.media import KINDS
from atlas_ds.bridge.values.nested import decode_cbor, decode_json, decode_msgpack, decode_text, encode_cbor, encode_json, encode_msgpack
from atlas_ds.bridge.values.npy import MAX_UNPACKED, decode_npy, decode_npz, encode_npy, encode_npz
from atlas_ds.bridge.values.tenbin import decode_tenbin, encode_tenbin
from atlas_ds.errors import CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.describe import describe
from atlas_ds.schema.media import Media, sniff
from atlas_ds.schema.specs import media

_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of some extensions are read and written. spec: the Atlas type of such a column;
    None if it depends on the data."""

    name: str
    spec: object
    decode: Callable[[bytes, str], object]
    encode: Callable[[object, str], bytes]


def decode_value(extension: str, data: bytes, where: str, *, limit: int = MAX_UNPACKED, max_expansion: int = MAX_EXPANSION) -> object:
    """The value of a file's bytes. limit: the uncompressed size that an archive (.npz) may have;
    max_expansion: how many times its own size it may expand. Errors name `where`."""
    kind = _kind(extension, where)
    return decode_npz(data, where, limit=limit, max_expansion=max_expansion) if kind.name == "npz" else kind.decode(data, where)


def encode_value(extension: str, value: object, where: str) -> bytes:
    """The bytes from which decode_value returns the same value. SchemaError if the extension
    cannot hold it."""
    return _kind(extension, where).encode(value, where)


def encoder_of(extension: str, where: str) -> Callable[[object, str], bytes]:
    """encode_value for one extension, to write many values: encode(value, where)."""
    return _kind(extension, where).encode


def value_spec(extension: str) -> object | None:
    """The Atlas type of a column of such values; None if it depends on the values (arrays) or if
    they are not read (pickles)."""
    last = last_part(extension)
    return None if last in REFUSED else EXTENSIONS.get(last, BYTES).spec


def kind_name(extension: str) -> str | None:
    """"text", "number", "json", "msgpack", "cbor", "npy", "npz", "tenbin", "media" or "bytes";
    None for extensions that are refused."""
    last = last_part(extension)
    return None if last in REFUSED else EXTENSIONS.get(last, BYTES).name


def last_part(extension: str) -> str:
    return extension.rpartition(".")[2].lower()


def _kind(extension: str, where: str) -> Kind:
    last = last_part(extension)
    if last in REFUSED:
        way = "list only other extensions to be decoded, so that it stays bytes (decode=[...], --decode EXT,EXT); or save it as npy, json or msgpack"
        raise UnsupportedError(f"{where}: .{last} is {REFUSED[last]}, which may run code when it is read; {way}")
    return EXTENSIONS.get(last, BYTES)


def _encode_text(value: object, where: str) -> bytes:
    if not isinstance(value, str):
        raise SchemaError(f"{where}: {describe(value)} is not text; give a str, or another extension")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise SchemaError(f"{where}: {value[:40]!r} has a lone surrogate, which UTF-8 cannot hold") from error


def _decode_number(data: bytes, where: str) -> int:
    text = decode_text(data, where).strip()
    if not _INTEGER.fullmatch(text):
        raise CorruptError(f"{where}: a class or index file holds one integer, but this one {text[:40]!r}; correct it")
    try:
        return int(text)
    except ValueError as error:  # Python's limit for digits
        raise LimitError(f"{where}: a number of {len(text)} digits: {error}") from error


def _encode_number(value: object, where: str) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SchemaError(f"{where}: {describe(value)} is not an integer; give another extension, such as json")
    try:
        return b"%d" % int(value)
    except ValueError as error:
        raise LimitError(f"{where}: a number too long to be written: {error}") from error


def _decode_media(data: bytes, where: str) -> Media:
    return Media(data, _media_type(data, where, CorruptError))


def _encode_media(value: object, where: str) -> bytes:
    data = _encode_bytes(value, where)
    _media_type(data, where, SchemaError)
    return data


def _media_type(data: bytes, where: str, error: type[CorruptError] | type[SchemaError]) -> str:
    found = sniff(data)
    if found is None:
        begins = f"begins with {data[:8].hex(' ')}, which no known image, audio or video file does" if data else "the file is empty"
        raise error(f"{where}: byte 0: {begins}; restore it, remove it, or give it another extension to store it as plain bytes")
    return found


def _decode_bytes(data: bytes, where: str) -> bytes:
    return data


def _encode_bytes(value: object, where: str) -> bytes:
    if isinstance(value, Media):
        return bytes(value.data)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise SchemaError(f"{where}: {describe(value)} is not bytes; give bytes, Media, or another extension")
    return bytes(value)


BYTES = Kind("bytes", "bytes", _decode_bytes, _encode_bytes)
_EXTENSIONS_OF = {
    Kind("text", "str", decode_text, _encode_text): ("txt", "text", "transcript"),
    Kind("number", "int64", _decode_number, _encode_number): ("cls", "cls2", "class", "count", "index", "id", "inx"),
    Kind("json", "object", decode_json, encode_json): ("json", "jsn"),
    Kind("msgpack", "object", decode_msgpack, encode_msgpack): ("mp", "msg", "msgpack"),
    Kind("cbor", "object", decode_cbor, encode_cbor): ("cbor",),
    Kind("npy", None, decode_npy, encode_npy): ("npy",),
    Kind("npz", None, decode_npz, encode_npz): ("npz",),
    Kind("tenbin", None, decode_tenbin, encode_tenbin): ("ten", "tb", "tenbin"),
    Kind("media", media(), _decode_media, _encode_media): tuple(name for names in KINDS.values() for name in names),
}
EXTENSIONS: Mapping[str, Kind] = MappingProxyType({name: kind for kind, names in _EXTENSIONS_OF.items() for name in names})
REFUSED: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("pkl", "pyd", "pickle"), "a pickle") | dict.fromkeys(("pth", "pt"), "a pickle of torch")
)
