"""The serializers of LitData: what Atlas type each becomes and how its bytes are read. Chunks
and the index are litdata.py's."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from atlas_ds.bridge.streaming.encoding import Encoding
from atlas_ds.bridge.streaming.images import PIL_NOTE, as_media, raw_image, sized_parts
from atlas_ds.bridge.values.media import kind_of
from atlas_ds.errors import UnsupportedError
from atlas_ds.schema.specs import media, nullable, tensor

# Numbers that stand for dtypes: those of torch, and those of NumPy. 10 of torch is bfloat16, which LitData itself cannot write.
_TORCH = ("float32", "float32", "float64", "float64", "complex64", "complex64", "complex128", "complex128", "float16", "float16", None, "uint8", "int8",
          "int16", "int16", "int32", "int32", "int64", "int64", "bool", "uint16")  # fmt: skip
_NUMPY = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128", "bool")
_NEVER = {
    "pickle": "is a pickle, and reading one may run code; write it as numbers, text, bytes or arrays",
    "graph": "is a graph, which holds a pickle, and reading one may run code; write its tensors as columns",
}
_FILES = ("file", "nifti", "mesh", "pdf")
_MEDIA = {"jpeg": "image/jpeg", "image": "image/jpeg", "tifffile": "image/tiff", "tiff": "image/tiff", "video": "video/mp4", "audio": "audio/wav"}


def encoding_of(text: str, column: str, place: str) -> Encoding:
    """The encoding of a leaf by its entry in data_format, such as "int", "no_header_numpy:9",
    "video:mp4"."""
    name, _, argument = text.partition(":")
    if name in _NEVER:
        raise UnsupportedError(f"{place}: column {column!r} {_NEVER[name]}")
    if name in _FLAT:
        return _flat_array(*_FLAT[name], argument, column, place)
    if name in _MEDIA:
        return Encoding(media(), partial(_media, otherwise=_MEDIA[name]))
    if name in _FILES:
        if kind_of(argument):
            return Encoding(media(), partial(_media, otherwise="application/octet-stream"))
        return Encoding("bytes", bytes, note=f"files ({text}) become bytes")
    if name not in ENCODINGS:
        known = ", ".join((*ENCODINGS, *_FLAT, *_MEDIA, *_FILES))
        raise UnsupportedError(f"{place}: column {column!r} has the serializer {text!r}, which is not LitData's own; {known} are read")
    return ENCODINGS[name]


def _media(data: bytes, otherwise: str) -> object:
    return as_media(data, otherwise)


def _flat_array(dtypes: tuple[str | None, ...], what: str, argument: str, column: str, place: str) -> Encoding:
    found = dtypes[int(argument)] if argument.isdecimal() and len(argument) < 4 and int(argument) < len(dtypes) else None
    if found is None:
        raise UnsupportedError(f"{place}: column {column!r}: {what} dtype number {argument!r} cannot be read; write numbers of another dtype")
    return Encoding(tensor(found, 1), partial(np.frombuffer, dtype=np.dtype(found).newbyteorder("<")))


def _shaped_array(dtypes: tuple[str | None, ...], order: str, data: bytes) -> np.ndarray:
    """[dtype: u32][dimensions: u32][extents: u32 each][values]; the head of torch's tensors is
    big-endian."""
    number, ndim = struct.unpack_from(f"{order}2I", data)
    name = dtypes[number] if number < len(dtypes) else None
    if name is None:
        raise ValueError(f"dtype number {number} cannot be read")
    start = 8 + 4 * ndim
    if start > len(data):
        raise ValueError(f"an array of {ndim:,} dimensions in {len(data):,} bytes")
    shape = struct.unpack_from(f"{order}{ndim}I", data, 8)
    dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"an array of {name} {'x'.join(map(str, shape))} has {len(data) - start:,} bytes")
    return np.frombuffer(data[start:], dtype).reshape(shape)


def _scalar(layout: str, data: bytes) -> object:
    if len(data) != struct.calcsize(layout):
        raise ValueError(f"{len(data)} bytes, but a number has {struct.calcsize(layout)}")
    return struct.unpack(layout, data)[0]


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise ValueError(f"a value ends at byte {at + size:,} of {len(data):,}")
    return data[at : at + size], at + size


def _count(data: bytes, at: int) -> tuple[int, int]:
    part, at = _take(data, at, 4)
    return int.from_bytes(part, "little"), at


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _count(data, at)
    return _take(data, at, size)


def _sized_text(data: bytes, at: int) -> tuple[object, int]:
    part, at = _sized(data, at)
    return part.decode("utf-8"), at


def _sized_json(data: bytes, at: int) -> tuple[object, int]:
    part, at = _sized(data, at)
    return json.loads(part), at


def _numbers(data: bytes, at: int, *, dtype: str) -> tuple[object, int]:
    count, at = _count(data, at)
    part, at = _take(data, at, count * np.dtype(dtype).itemsize)
    return np.frombuffer(part, dtype).tolist(), at


def _one(data: bytes, at: int, *, dtype: str) -> tuple[object, int]:
    part, at = _take(data, at, np.dtype(dtype).itemsize)
    return np.frombuffer(part, dtype)[0].item(), at


def _texts(data: bytes, at: int) -> tuple[object, int]:
    count, at = _count(data, at)
    out = []
    for _ in range(count):
        text, at = _sized_text(data, at)
        out.append(text)
    return out, at


def _mapping(data: bytes, at: int) -> tuple[object, int]:
    count, at = _count(data, at)
    out: dict[str, object] = {}
    for _ in range(count):
        key, at = _sized_text(data, at)
        out[str(key)], at = _tagged(data, at, _TAGS)
    return out, at


def _records(data: bytes, at: int) -> tuple[object, int]:
    count, at = _count(data, at)
    width, at = _count(data, at)
    keys, rows = [], []
    for _ in range(width):
        key, at = _sized_text(data, at)
        keys.append(str(key))
    if count * max(width, 1) > len(data):  # every record has a key, every cell a tag
        raise ValueError(f"{count:,} records in {len(data):,} bytes")
    for _ in range(count):
        row: dict[str, object] = {}
        for key in keys:
            row[key], at = _tagged(data, at, _CELLS)
        rows.append(row)
    return rows, at


def _tagged(data: bytes, at: int, tags: Mapping[int, Callable[[bytes, int], tuple[object, int]]]) -> tuple[object, int]:
    tag, at = _take(data, at, 1)
    if tag[0] not in tags:
        raise ValueError(f"tag {tag[0]} of a nested value is not known")
    return tags[tag[0]](data, at)


def _nested(data: bytes) -> object:
    """A list or dict: a tag and what it declares; text of JSON in older datasets."""
    if data[:1] > b"\x20":
        return json.loads(data)
    value, end = _tagged(data, 0, _TAGS)
    if end != len(data):
        raise ValueError(f"a nested value ends at byte {end:,} of {len(data):,}")
    return value


def _nothing(data: bytes, at: int) -> tuple[object, int]:
    return None, at


_INT, _FLOAT, _BOOL = (partial(_one, dtype=dtype) for dtype in ("<i8", "<f8", "?"))
_TAGS: dict[int, Callable[[bytes, int], tuple[object, int]]] = {
    0: _sized_json, 1: _texts, 2: partial(_numbers, dtype="<i8"), 3: partial(_numbers, dtype="<f8"), 4: partial(_numbers, dtype="?"),
    5: _mapping, 6: _records, 7: _sized_text, 8: _INT, 9: _FLOAT, 10: _BOOL, 11: _nothing,
}  # fmt: skip
_CELLS: dict[int, Callable[[bytes, int], tuple[object, int]]] = {0x10: _nothing, 0x11: _sized_text, 0x12: _INT, 0x13: _FLOAT, 0x14: _BOOL}
_FLAT: dict[str, tuple[tuple[str | None, ...], str]] = {"no_header_tensor": (_TORCH, "torch"), "no_header_numpy": (_NUMPY, "NumPy")}
_TEXT = Encoding("str", lambda data: data.decode("utf-8"))
ENCODINGS: Mapping[str, Encoding] = MappingProxyType(
    {
        "str": _TEXT,
        "text": _TEXT,
        "bool": Encoding("bool", partial(_scalar, "<?")),
        "int": Encoding("int64", partial(_scalar, "<q")),
        "float": Encoding("float64", partial(_scalar, "<d")),
        "bytes": Encoding("bytes", bytes),
        "pil": Encoding(tensor("uint8"), raw_image, note=PIL_NOTE),
        "jpeg_array": Encoding("object", lambda data: sized_parts(data, 0), note="a list of encoded images becomes a list of bytes"),
        "numpy": Encoding(None, partial(_shaped_array, _NUMPY, "<")),
        "tensor": Encoding(None, partial(_shaped_array, _TORCH, ">")),
        "json": Encoding(nullable("object"), _nested),
    }
)
