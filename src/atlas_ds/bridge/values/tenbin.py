"""Decodes and encodes webdataset's .ten: a list of arrays as chunks. Chunk: 8 bytes of magic, int64
length, the bytes, padding to 64.

Each array is two chunks. Its header is int64s: dtype as text in 8 bytes, a name in 8 bytes, ndim,
the dims. Its data are in C order. All numbers are little-endian. Names are not kept; webdataset
drops them as well.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from atlas_ds.errors import CorruptError, SchemaError, UnsupportedError
from atlas_ds.schema.describe import describe, to_numpy

MAGIC = b"~TenBin~"
ALIGN = 64
MAX_NDIM = 9
CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
UNREADABLE = "u4"  # webdataset 1.0.2 misspells this dtype and can neither write nor read it
Ndarray = np.ndarray[Any, Any]


def decode_tenbin(data: bytes, where: str) -> list[Ndarray]:
    """The arrays, in the machine's byte order and writable."""
    chunks = _chunks(data, where)
    if len(chunks) % 2:
        raise CorruptError(f"{where}: .ten has {len(chunks)} chunks; each array needs two; write it again")
    return [_array(data, chunks[i], chunks[i + 1], f"{where}: array {i // 2}") for i in range(0, len(chunks), 2)]


def _chunks(data: bytes, where: str) -> list[tuple[int, int]]:
    """(first byte, length) of each chunk."""
    found, at = [], 0
    while at < len(data):
        if data[at : at + 8] != MAGIC or len(data) - at < 16:
            raise CorruptError(f"{where}: byte {at}: not a chunk of a .ten file; write it again")
        (length,) = struct.unpack_from("<q", data, at + 8)
        end = at + 16 + -(-length // ALIGN) * ALIGN
        if length < 0 or end > len(data):
            raise CorruptError(f"{where}: byte {at + 8}: a chunk of {length} bytes, but only {len(data) - at - 16} remain; fetch or write it again")
        found.append((at + 16, length))
        at = end
    return found


def _array(data: bytes, header: tuple[int, int], body: tuple[int, int], where: str) -> Ndarray:
    at, length = header
    if length < 24 or length % 8:
        raise CorruptError(f"{where}: byte {at}: a header of {length} bytes; at least three int64 are needed")
    code = data[at : at + 8].rstrip(b"\0").decode("latin-1")
    (ndim,) = struct.unpack_from("<q", data, at + 16)
    if code not in CODES:
        raise UnsupportedError(f"{where}: byte {at}: dtype {code!r}; .ten has {', '.join(CODES)}")
    if not 0 <= ndim <= MAX_NDIM or length != 24 + 8 * ndim:
        raise CorruptError(f"{where}: byte {at + 16}: {ndim} dimensions in a header of {length} bytes; {MAX_NDIM} at most")
    shape = struct.unpack_from(f"<{ndim}q", data, at + 24)
    dtype = np.dtype("<" + code)
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != body[1]:
        raise CorruptError(f"{where}: byte {at + 24}: shape {shape} of {code} does not fit its {body[1]} bytes of data")
    flat = np.frombuffer(data, dtype, math.prod(shape), body[0]) if body[1] else np.empty(0, dtype)
    return flat.reshape(shape).astype(dtype.newbyteorder("="))


def encode_tenbin(value: object, where: str) -> bytes:
    """A list of arrays, or one array as a list of one. SchemaError for arrays that webdataset
    could not read back."""
    given = value if isinstance(value, list | tuple) else [value]
    return b"".join(_encode(to_numpy(one), f"{where}: array {i}") for i, one in enumerate(given))


def _encode(array: object, where: str) -> bytes:
    if not isinstance(array, np.ndarray) or np.ma.isMaskedArray(array):
        raise SchemaError(f"{where}: {describe(array)} is not an array; .ten holds a list of arrays")
    code = array.dtype.newbyteorder("<").str[1:]
    if code not in CODES or code == UNREADABLE or not 1 <= array.ndim <= MAX_NDIM:
        raise SchemaError(
            f"{where}: {describe(array)}: webdataset reads .ten arrays of 1 to {MAX_NDIM} dimensions and of"
            f" {', '.join(name for name in CODES if name != UNREADABLE)}; write it as npy"
        )
    header = code.encode().ljust(8, b"\0") + bytes(8) + struct.pack(f"<{1 + array.ndim}q", array.ndim, *array.shape)
    return _chunk(header) + _chunk(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _chunk(data: bytes) -> bytes:
    return MAGIC + struct.pack("<q", len(data)) + data + bytes(-len(data) % ALIGN)
