"""Decompresses blocks of known size in other formats. Atlas's own compression is in the C core.

gzip and bzip2 are in Python; zstd needs zstandard, brotli and snappy need pyarrow (extras, imported
only where used).
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from atlas_ds.bridge.compression.reading import FREE_BYTES, MAX_EXPANSION
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError, UnsupportedError

EXTRA = "pip install 'atlas-ds[streaming]'"
MAX_UNPACKED = 1 << 34  # more would not fit into memory; both formats address 4 GiB per file


def check_expansion(packed: int, size: int, place: str, max_expansion: int) -> None:
    """LimitError if the declared expansion is that of a decompression bomb. Checked before
    anything is allocated."""
    if size > FREE_BYTES and size > max_expansion * packed:
        raise LimitError(
            f"{place}: {packed:,} bytes would expand to {size:,}, more than {max_expansion} times as many; if you trust it, raise the limit:"
            f" --max-expansion {-(-size // max(packed, 1))}, or max_expansion= in Python"
        )


def unpack(data: memoryview, algorithm: str, size: int, place: str, max_expansion: int = MAX_EXPANSION) -> bytes:
    """Exactly `size` bytes; more are never produced. `algorithm` may include a level ("zstd:3")."""
    name = algorithm.partition(":")[0]
    decode = _DECODERS.get(name)
    if decode is None:
        raise UnsupportedError(f"{place}: unknown compression {name!r}; known are {', '.join(_DECODERS)}")
    if size > MAX_UNPACKED:
        raise LimitError(f"{place}: {size:,} bytes after decompression, more than {MAX_UNPACKED:,}; write smaller files")
    check_expansion(len(data), size, place, max_expansion)
    out = decode(data, size, place)
    if len(out) != size:
        raise CorruptError(f"{place}: {name} returned {'more than ' if len(out) > size else ''}{min(len(out), size):,} bytes, not {size:,}; fetch it again")
    return out


def zstd_size(data: memoryview, place: str) -> int:
    """The size that a zstd frame declares."""
    zstandard = _zstandard(place)
    try:
        size = int(zstandard.frame_content_size(bytes(data[:18])))  # a frame's header has at most 18 bytes
    except zstandard.ZstdError as error:
        raise CorruptError(f"{place}: not a zstd frame: {error}; fetch the file again") from error
    if size < 0:
        raise CorruptError(f"{place}: a zstd frame that does not declare its size; write the dataset again")
    return size


def _zstandard(place: str) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise AtlasError(f"{place}: reading zstd needs zstandard; install it: {EXTRA}") from error
    return zstandard


def _zstd(data: memoryview, size: int, place: str) -> bytes:
    zstandard = _zstandard(place)
    pieces, missing = [], size + 1
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            while missing > 0 and (piece := reader.read(missing)):
                pieces.append(piece)
                missing -= len(piece)
    except zstandard.ZstdError as error:
        raise CorruptError(f"{place}: damaged zstd: {error}; fetch the file again") from error
    return b"".join(pieces)


def _gzip(data: memoryview, size: int, place: str) -> bytes:
    decoder = zlib.decompressobj(wbits=31)
    try:
        out = decoder.decompress(data, size + 1)
        out += decoder.decompress(decoder.unconsumed_tail, 1)  # the checksum is verified only at the end
    except zlib.error as error:
        raise CorruptError(f"{place}: damaged gzip: {error}; fetch the file again") from error
    return _ended(out, size, decoder.eof, f"{place}: gzip")


def _bzip2(data: memoryview, size: int, place: str) -> bytes:
    decoder = bz2.BZ2Decompressor()
    try:
        out = decoder.decompress(data, size + 1)
    except OSError as error:
        raise CorruptError(f"{place}: damaged bzip2: {error}; fetch the file again") from error
    return _ended(out, size, decoder.eof, f"{place}: bzip2")


def _ended(out: bytes, size: int, eof: bool, what: str) -> bytes:
    if len(out) <= size and not eof:
        raise TruncatedError(f"{what} ends too early; fetch the file again")
    return out


def _pyarrow(name: str, place: str) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise AtlasError(f"{place}: reading {name} needs pyarrow; install it: {EXTRA}") from error
    return pa


def _brotli(data: memoryview, size: int, place: str) -> bytes:
    pa = _pyarrow("brotli", place)
    try:
        with pa.CompressedInputStream(pa.BufferReader(pa.py_buffer(data)), "brotli") as stream:  # a Codec would pad missing bytes
            return bytes(stream.read(size + 1))
    except (pa.ArrowException, OSError) as error:
        raise CorruptError(f"{place}: damaged brotli: {error}; fetch the file again") from error


def _snappy(data: memoryview, size: int, place: str) -> bytes:
    pa = _pyarrow("snappy", place)
    said = 0
    for at, byte in enumerate(bytes(data[:5])):  # the first bytes are the size, seven bits each
        said |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            break
    if said != size:
        raise CorruptError(f"{place}: snappy declares {said:,} bytes, not {size:,}; fetch the file again")
    try:
        return bytes(pa.Codec("snappy").decompress(data, decompressed_size=size, asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise CorruptError(f"{place}: damaged snappy: {error}; fetch the file again") from error


_DECODERS: Mapping[str, Callable[[memoryview, int, str], bytes]] = MappingProxyType(
    {"zstd": _zstd, "gz": _gzip, "bz2": _bzip2, "br": _brotli, "snappy": _snappy}
)
