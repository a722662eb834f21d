"""The chunk files of LitData: returns the bytes of their items, or the Arrow table at the end of
some.

A chunk is [items: u32][offsets: u32 each, and the end][items]; it may be one zstd frame, hold one
per item, or be a framed file: ["LDFZ01"][version, flags: u16][items, rows per frame, frames:
u32][offsets into the unpacked items][frame table][zstd frames].
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from atlas_ds.bridge.compression.blocks import unpack, zstd_size
from atlas_ds.bridge.source import Refused
from atlas_ds.bridge.streaming.indexed import check_size, file_bytes
from atlas_ds.errors import AtlasError, CorruptError, TruncatedError, UnsupportedError

FRAMED = b"LDFZ01\0\0"
ZSTD = b"\x28\xb5\x2f\xfd"
ARROW_TAIL = b"LDARW01\0"
_HEAD = struct.Struct("<8s2H3I")
_FRAME = struct.Struct("<2IQ2I")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk as described by the index. size: its bytes before the complete file was
    compressed."""

    path: Path
    size: int
    items: int
    split: str | None
    zstd_items: bool
    max_expansion: int


def chunk_data(chunk: Chunk) -> memoryview:
    """The chunk's bytes, decompressed if the complete file is one zstd frame."""
    data = file_bytes(chunk.path)
    if data[:4] == ZSTD:  # not a plain chunk: it would have four billion items
        return memoryview(unpack(data, "zstd", chunk.size, str(chunk.path), chunk.max_expansion))
    check_size(chunk.path, data, chunk.size)
    return data


def arrow_tail(data: memoryview, path: Path) -> memoryview | None:
    """The Arrow table at the end of a chunk, which then replaces its items; None if there is
    none."""
    if len(data) < 12 or data[-8:] != ARROW_TAIL:
        return None
    (size,) = struct.unpack_from("<I", data, len(data) - 12)
    if size > len(data) - 12:
        raise CorruptError(f"{path}: byte {len(data) - 12:,}: a table of {size:,} bytes before it, more than there are; fetch it again")
    return data[len(data) - 12 - size : len(data) - 12]


def chunk_items(chunk: Chunk, data: memoryview) -> Iterator[bytes | Refused]:
    """The bytes of each item, after all offsets are checked; Refused if they cannot be
    decompressed."""
    if data[:8] == FRAMED:
        yield from _framed_items(chunk, data)
        return
    head = 4 * (chunk.items + 2)
    if len(data) < head:
        raise TruncatedError(f"{chunk.path}: byte {len(data):,}: ends inside the offsets of {chunk.items:,} items; fetch it again")
    _check_count(chunk, struct.unpack_from("<I", data)[0])
    offsets = _offsets(chunk, data, 4)
    if offsets[0] != head or offsets[-1] > len(data):
        raise CorruptError(f"{chunk.path}: items from byte {offsets[0]:,} to {offsets[-1]:,} of {len(data):,}, but the header has {head:,}; fetch it again")
    for at, (start, stop) in enumerate(pairwise(offsets.tolist())):
        item = data[start:stop]
        yield _unpacked(chunk, item, f"{chunk.path}: item {at}", 1) if chunk.zstd_items else bytes(item)


def _unpacked(chunk: Chunk, data: memoryview, place: str, items: int, size: int | None = None) -> bytes | Refused:
    """The content of a zstd frame of this many items."""
    try:
        return unpack(data, "zstd", zstd_size(data, place) if size is None else size, place, chunk.max_expansion)
    except AtlasError as error:
        return Refused(error, items)


def _framed_items(chunk: Chunk, data: memoryview) -> Iterator[bytes | Refused]:
    path = chunk.path
    if len(data) < _HEAD.size:
        raise TruncatedError(f"{path}: byte {len(data):,}: ends inside the header of a framed chunk; fetch it again")
    _, version, flags, count, _, frames = _HEAD.unpack_from(data)
    if version != 1 or flags:
        raise UnsupportedError(f"{path}: byte 8: a framed chunk of version {version} with flags {flags}; only version 1 without flags is read")
    _check_count(chunk, count)
    table = _HEAD.size + 4 * (count + 1)
    if table + _FRAME.size * frames > len(data):
        raise TruncatedError(f"{path}: byte {len(data):,}: ends inside the tables of {count:,} items and {frames:,} frames; fetch it again")
    offsets = _offsets(chunk, data, _HEAD.size)
    done = 0
    for k in range(frames):
        first, rows, start, packed, size = _FRAME.unpack_from(data, table + _FRAME.size * k)
        place = f"{path}: frame {k}"
        if not rows or first != done or first + rows > count or start + packed > len(data):
            raise CorruptError(f"{place}: items {first:,} to {first + rows:,} in bytes {start:,} to {start + packed:,}, which is impossible; fetch it again")
        if offsets[first + rows] - offsets[first] != size:
            raise CorruptError(f"{place}: {size:,} bytes, but its items have {offsets[first + rows] - offsets[first]:,}; fetch it again")
        raw = _unpacked(chunk, data[start : start + packed], place, rows, size)
        done += rows
        if isinstance(raw, Refused):
            yield raw
            continue
        inner = (offsets[first : first + rows + 1] - offsets[first]).tolist()
        for begin, end in pairwise(inner):
            yield raw[begin:end]
    if done != count:
        raise CorruptError(f"{path}: its frames hold {done:,} items, not {count:,}; fetch it again")


def _check_count(chunk: Chunk, count: int) -> None:
    if count != chunk.items:
        raise CorruptError(f"{chunk.path}: {count:,} items, but the index says {chunk.items:,}; fetch it again")


def _offsets(chunk: Chunk, data: memoryview, start: int) -> np.ndarray:
    offsets = np.frombuffer(data, "<u4", chunk.items + 1, start).astype(np.int64)
    for bad in np.flatnonzero(np.diff(offsets) < 0)[:1]:
        raise CorruptError(f"{chunk.path}: item {bad}: ends at byte {offsets[bad + 1]:,}, before it begins at {offsets[bad]:,}; fetch it again")
    return offsets
