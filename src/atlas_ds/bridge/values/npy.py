"""Decodes and encodes NumPy arrays as the bytes of a .npy or .npz. Hostile bytes cost no more
than their length. files/arrays.py reads tables."""

from __future__ import annotations

import ast
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import IO, Any

import numpy as np

from atlas_ds.bridge.compression.blocks import check_expansion
from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.describe import describe, to_numpy

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000  # characters of a header that are parsed; numpy.load's own limit
MAX_UNPACKED = 1 << 30  # uncompressed bytes of a .npz: the largest value that Atlas stores
MAX_NAME = 60_000  # bytes of an array's name; zip has two bytes for its length, and .npy is appended
_LENGTH = {1: "<H", 2: "<I", 3: "<I"}  # of the header, by version
_PICKLE = "an object array, which is a pickle and may run code; save numbers or text"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, OverflowError, RuntimeError, LookupError, struct.error)
Ndarray = np.ndarray[Any, Any]


def decode_npy(data: bytes, where: str) -> Ndarray:
    """The array, in the machine's byte order, C-contiguous and writable."""
    array = view_npy(data, where)
    return array.astype(array.dtype.newbyteorder("="), order="C")


def view_npy(data: bytes | memoryview, where: str) -> Ndarray:
    """A read-only array over these bytes, in their byte order. Nothing is allocated because of
    its header."""
    dtype, fortran, shape, start = _header(data, where)
    count = math.prod(shape)
    if dtype.itemsize == 0 and count:
        raise UnsupportedError(f"{where}: .npy of {_short(count)} values of zero bytes ({dtype}); save it with another dtype")
    if len(data) - start != count * dtype.itemsize:
        raise CorruptError(
            f"{where}: byte {start}: .npy of {str(dtype)[:80]} {str(shape)[:80]} has {len(data) - start} bytes of values, not"
            f" {_short(count * dtype.itemsize)}; save it again with numpy.save"
        )
    try:
        flat = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
        return flat.reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError) as error:  # more dimensions than NumPy supports, or a huge one next to one of 0
        raise UnsupportedError(f"{where}: .npy of shape {str(shape)[:80]}: {error}") from error


def _short(number: int) -> str:
    return str(number) if number < 1 << 128 else "more than 2^128"


def _header(data: bytes | memoryview, where: str) -> tuple[np.dtype[Any], bool, tuple[int, ...], int]:
    """dtype, Fortran order, shape, and where the values begin."""
    if data[:6] != MAGIC or len(data) < 12:
        raise CorruptError(f"{where}: byte 0: not a readable .npy array: it begins with {bytes(data[:8]).hex(' ') or 'nothing'}; save it again with numpy.save")
    form = _LENGTH.get(data[6])
    if form is None or data[7] != 0:
        raise UnsupportedError(f"{where}: byte 6: .npy version {data[6]}.{data[7]} is not known; save it again with numpy.save")
    first = 8 + struct.calcsize(form)
    (length,) = struct.unpack_from(form, data, 8)
    if length > MAX_HEADER:
        raise LimitError(f"{where}: byte 8: the .npy header has {length} bytes; {MAX_HEADER} at most are read")
    if first + length > len(data):
        raise CorruptError(f"{where}: byte 8: the .npy header ends after the data; fetch or save the file again")
    try:
        return *_parse(bytes(data[first : first + length]).decode("utf-8" if data[6] == 3 else "latin-1")), first + length
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, SyntaxError, MemoryError, RecursionError) as error:
        raise CorruptError(f"{where}: byte {first}: the .npy header is invalid: {error}; save it again with numpy.save") from error
    except AtlasError as error:
        raise type(error)(f"{where}: {error}") from error


@lru_cache(maxsize=256)
def _parse(text: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    found = ast.literal_eval(text)
    if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
        raise ValueError("it must have descr, fortran_order and shape")
    dtype = np.lib.format.descr_to_dtype(found["descr"])
    if dtype.hasobject:
        raise UnsupportedError(_PICKLE)
    fortran, shape = found["fortran_order"], found["shape"]
    if type(fortran) is not bool or not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"fortran_order {fortran!r}, shape {shape!r}")
    return dtype, fortran, shape


def encode_npy(value: object, where: str) -> bytes:
    """An array, or one number as an array without dimensions. Always little-endian and in C
    order, so that equal arrays have equal bytes."""
    given = to_numpy(value)
    if not isinstance(given, np.ndarray | np.generic | bool | int | float | complex) or np.ma.isMaskedArray(given):
        raise SchemaError(f"{where}: {describe(value)} is not an array; .npy holds arrays and numbers")
    array = np.asarray(given)
    if array.dtype.hasobject:
        raise SchemaError(f"{where}: {describe(value)} is an object array, which would be a pickle; give numbers or text")
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array, array.dtype.newbyteorder("<"), order="C"), allow_pickle=False)
    return out.getvalue()


def decode_npz(data: bytes, where: str, *, limit: int = MAX_UNPACKED, max_expansion: int = MAX_EXPANSION) -> dict[str, Ndarray]:
    """Name to array. limit: total bytes of all arrays after decompression; max_expansion: how
    many times the archive's own size that may be."""
    return {name: decode_npy(member, f"{where}: member {name!r}") for name, member in npz_members(io.BytesIO(data), len(data), where, limit, max_expansion)}


def npz_members(file: IO[bytes], size: int, where: str, limit: int | None, max_expansion: int) -> Iterator[tuple[str, bytes]]:
    """Name and decompressed bytes of each member of an archive of `size` bytes, one at a time,
    after the sizes were checked against the limits."""
    seen: set[str] = set()
    name = "directory"
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if limit is not None and total > limit:
                raise LimitError(f"{where}: .npz unpacks to {total} bytes; the limit is {limit}")
            check_expansion(size, total, where, max_expansion)
            for info in infos:
                name = info.filename.removesuffix(".npy")
                if name in seen or name == info.filename:
                    raise CorruptError(f"{where}: member {info.filename!r}: a duplicate, or not a .npy; save it again with numpy.savez")
                if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise UnsupportedError(f"{where}: member {info.filename!r}: encrypted or not deflated; save it again with numpy.savez")
                seen.add(name)
                yield name, archive.read(info)
    except AtlasError:
        raise
    except _DAMAGED as error:
        raise CorruptError(f"{where}: {name}: not a readable .npz archive: {error}; save it again with numpy.savez") from error


def encode_npz(value: object, where: str) -> bytes:
    """A dict of name to array, not compressed, without times or machine names."""
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise SchemaError(f"{where}: {describe(value)} is not a dict of arrays, which is what .npz holds")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in value.items():
            try:
                good = "\0" not in name and len(name.encode()) <= MAX_NAME
            except UnicodeEncodeError:
                good = False
            if not good:
                raise SchemaError(f"{where}: {name[:40]!r} cannot name an array of a .npz; use text without NUL, {MAX_NAME} bytes at most")
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # always Unix, so that the bytes do not depend on the machine
            archive.writestr(info, encode_npy(array, f"{where}: array {name!r}"))
    return out.getvalue()
