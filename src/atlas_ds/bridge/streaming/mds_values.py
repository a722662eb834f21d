"""The encodings of MosaicML's MDS: which Atlas type each becomes and how its bytes are decoded.
Shards and the index are read by mds.py."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from atlas_ds.bridge.streaming.encoding import Encoding
from atlas_ds.bridge.streaming.images import PIL_NOTE, as_media, raw_image, raw_parts, sized_parts
from atlas_ds.errors import CorruptError, UnsupportedError
from atlas_ds.schema.specs import array, make_type, media, nullable, tensor
from atlas_ds.schema.types import Field

# The byte of an array's dtype: its width in bits, plus 1 if signed, plus 2 if a float.
DTYPES: Mapping[int, str] = MappingProxyType(
    {8: "uint8", 9: "int8", 16: "uint16", 17: "int16", 18: "float16", 32: "uint32", 33: "int32", 34: "float32", 64: "uint64", 65: "int64", 66: "float64"}
)
SCALARS = tuple(DTYPES.values())


def encoding_of(text: str, column: str, place: str) -> Encoding:
    """The encoding that an index names for a column, such as "int", "ndarray:float32:3,4"."""
    if text == "pkl":
        raise UnsupportedError(f"{place}: column {column!r} is pickled, and reading a pickle may run code; write it with another encoding, e.g. json")
    name, _, arguments = text.partition(":")
    if name == "ndarray":
        return _array_encoding(arguments, column, place)
    found = ENCODINGS.get(text)
    if found is None:
        raise UnsupportedError(f"{place}: column {column!r} has the unknown encoding {text!r}; known are {', '.join(ENCODINGS)}, ndarray")
    return found


def _array_encoding(arguments: str, column: str, place: str) -> Encoding:
    dtype, _, dims = arguments.partition(":")
    try:
        shape = tuple(int(dim) for dim in dims.split(",")) if dims else None
    except ValueError:
        shape = (0,)
    if (dtype and dtype not in SCALARS) or (shape is not None and min(shape) < 1):
        raise CorruptError(f"{place}: column {column!r}: {arguments!r} is not a dtype and shape of an array; restore the file")
    if not dtype:
        return Encoding(None, dynamic_array)
    kind = np.dtype(dtype).newbyteorder("<")
    if shape is None:
        return Encoding(tensor(dtype), partial(_shaped_array, kind))
    return Encoding(array(dtype, shape), partial(_fixed_array, kind, shape), kind.itemsize * math.prod(shape))


def _fixed_array(dtype: np.dtype[Any], shape: tuple[int, ...], data: bytes) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape)


def dynamic_array(data: bytes) -> np.ndarray:
    """[dtype: u8] and then the bytes of `_shaped_array`."""
    if not data or data[0] not in DTYPES:
        raise ValueError(f"byte {data[:1].hex() or 'none'} is not a dtype of an array")
    return _shaped_array(np.dtype(DTYPES[data[0]]).newbyteorder("<"), data[1:])


def _shaped_array(dtype: np.dtype[Any], data: bytes) -> np.ndarray:
    """[dimensions << 2 | log2 of the bytes of an extent: u8][extents][values]."""
    if not data:
        raise ValueError("an array without a shape")
    ndim, width = data[0] >> 2, 1 << (data[0] & 3)
    start = 1 + ndim * width
    if start > len(data):
        raise ValueError(f"an array of {ndim} dimensions in {len(data)} bytes")
    shape = tuple(int(n) for n in np.frombuffer(data[1:start], f"<u{width}"))
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"an array of {dtype.name} {'x'.join(map(str, shape))} has {len(data) - start:,} bytes")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _number(dtype: np.dtype[Any], data: bytes) -> np.generic:
    value: np.generic = np.frombuffer(data, dtype)[0]
    return value


def _integer(data: bytes) -> int:
    return int(struct.unpack("<q", data)[0])


def _text(data: bytes) -> str:
    return data.decode("utf-8")


def _integer_text(data: bytes) -> int:
    value = int(_text(data))
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{_text(data)[:40]} has more than 64 bits; write the column as str")
    return value


def _raw_list(data: bytes) -> list[dict[str, object]]:
    parts = map(raw_parts, sized_parts(data, 4))
    return [{"width": width, "height": height, "mode": mode, "data": pixels} for width, height, mode, pixels in parts]


def _scalar(dtype: str) -> Encoding:
    kind = np.dtype(dtype).newbyteorder("<")
    return Encoding(Field("", make_type(dtype), numpy=True), partial(_number, kind), kind.itemsize)


_LIST_NOTE = "a list of encoded images becomes a list of bytes"
_ENCODED_LIST = Encoding("object", lambda data: sized_parts(data, 4), note=_LIST_NOTE)
_JPEG_ARRAY = Encoding("object", lambda data: sized_parts(data, 0), note=_LIST_NOTE)
ENCODINGS: Mapping[str, Encoding] = MappingProxyType(
    {
        "int": Encoding("int64", _integer, 8),
        **{name: _scalar(name) for name in SCALARS},
        "bytes": Encoding("bytes", bytes),
        "str": Encoding("str", _text),
        "str_int": Encoding("int64", _integer_text),
        "str_float": Encoding("float64", lambda data: float(_text(data))),
        "str_decimal": Encoding("str", _text, note="decimal numbers become text, which keeps every digit"),
        "json": Encoding(nullable("object"), lambda data: json.loads(_text(data))),
        "jpeg": Encoding(media(), lambda data: as_media(data, "image/jpeg")),
        "png": Encoding(media(), lambda data: as_media(data, "image/png")),
        "pil": Encoding(tensor("uint8"), raw_image, note=PIL_NOTE),
        "jpeg_array": _JPEG_ARRAY,
        "jpegarray": _JPEG_ARRAY,
        "list[jpeg]": _ENCODED_LIST,
        "list[png]": _ENCODED_LIST,
        "list[pil]": Encoding("object", _raw_list, note="a list of raw images becomes a list of {width, height, mode, data}"),
    }
)
