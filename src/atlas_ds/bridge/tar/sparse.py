"""The maps of sparse members of tars, in the four formats that GNU tar writes, and the files with
their holes filled. It reads no archive.

Old GNU headers (type S) have the map in the header and in blocks after it, PAX 0.0 and 0.1 in PAX
records, PAX 1.0 before the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from atlas_ds.bridge.tar.numbers import decimal, octal
from atlas_ds.errors import CorruptError, LimitError, UnsupportedError
from atlas_ds.sizes import format_binary

BLOCK = 512
MAX_SPARSE = 16 << 20  # bytes of a sparse member, holes filled
MAX_PIECES = MAX_SPARSE // BLOCK  # of data between holes; with more, it is not a sparse file
MAX_DIGITS = 20
PREFIX = b"GNU.sparse."
Pieces = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sparse:
    """size: bytes with the holes filled; pieces: offset in the file and length of each stored
    run of data; None if the stored data begin with the map."""

    size: int
    pieces: Pieces | None


def old_gnu(block: bytes, more: Callable[[], bytes], place: str) -> Sparse:
    """Parses a header of type S. more() returns the block after it. place: file, byte and name,
    for errors."""
    size = octal(block[483:495], place, 483)
    fields, follows = [block[at : at + 12] for at in range(386, 482, 12)], block[482]
    while follows and len(fields) <= 2 * MAX_PIECES:
        extension = more()
        fields += [extension[at : at + 12] for at in range(0, 504, 12)]
        follows = extension[504]
    count = next((at for at in range(0, len(fields), 2) if fields[at + 1][0] == 0), len(fields))  # an empty length ends the list
    if any(map(any, fields[count:])):
        damaged(place, "more data in its map after the end")
    numbers = [octal(field, place, 386 + 12 * at) for at, field in enumerate(fields[:count])]
    return Sparse(bounded(size, place), paired(numbers, place))


def from_pax(records: Sequence[tuple[bytes, bytes]], place: str) -> Sparse:
    """Parses PAX records whose keys begin with GNU.sparse."""
    found = {key.removeprefix(PREFIX): value for key, value in records}
    version = found.get(b"major", b"") + b"." + found.get(b"minor", b"")
    if version not in (b".", b"1.0"):  # 0.0 and 0.1 do not record it
        raise UnsupportedError(f"{place}: a sparse file of version {version[:40]!r}; store it as a plain file")
    size = found.get(b"realsize" if version == b"1.0" else b"size")
    if size is None:
        damaged(place, "its size is missing")
    if version == b"1.0":
        return Sparse(bounded(decimal(size, place), place), None)
    numbers = from_list(found[b"map"]) if b"map" in found else from_pairs(records, place)
    if decimal(found.get(b"numblocks", b""), place) * 2 != len(numbers):
        damaged(place, "its map does not have the declared length")
    return Sparse(bounded(decimal(size, place), place), paired([decimal(number, place) for number in numbers], place))


def from_list(text: bytes) -> list[bytes]:
    """PAX 0.1: one record, numbers with commas."""
    return text.split(b",") if text else []


def from_pairs(records: Sequence[tuple[bytes, bytes]], place: str) -> list[bytes]:
    """PAX 0.0: two records for each piece."""
    keys = PREFIX + b"offset", PREFIX + b"numbytes"
    found = [(key, value) for key, value in records if key in keys]
    if any(key != keys[number % 2] for number, (key, _) in enumerate(found)):
        damaged(place, "its map is out of order")
    return [value for _, value in found]


def filled(sparse: Sparse, data: bytes, place: str) -> bytes:
    """The complete file, made from the stored data."""
    start, pieces = (0, sparse.pieces) if sparse.pieces is not None else leading_map(data, place)
    check(Sparse(sparse.size, pieces), len(data) - start, place)
    out = bytearray(sparse.size)
    for offset, length in pieces:
        out[offset : offset + length] = data[start : start + length]
        start += length
    return bytes(out)


def check(sparse: Sparse, stored: int, place: str) -> None:
    """CorruptError unless the pieces, if they are known, follow each other, are inside the file,
    and use all stored bytes."""
    if sparse.pieces is None:
        return
    end = 0
    for offset, length in sparse.pieces:
        if offset < end:
            damaged(place, "its pieces overlap or are not in order")
        end = offset + length
    if end > sparse.size or sum(length for _, length in sparse.pieces) != stored:
        damaged(place, "its map does not fit its size")


def leading_map(data: bytes, place: str) -> tuple[int, Pieces]:
    """(where the data begin, pieces) of PAX 1.0: lines of decimal digits, padded to complete
    blocks."""
    count = decimal(data[: MAX_DIGITS + 1].partition(b"\n")[0], place)
    if count > MAX_PIECES:
        too_many(place)
    lines = data[: (2 * count + 1) * (MAX_DIGITS + 1)].split(b"\n", 2 * count + 1)
    if len(lines) != 2 * count + 2:
        damaged(place, "its map is truncated")
    start = sum(len(line) + 1 for line in lines[:-1])
    return -(-start // BLOCK) * BLOCK, paired([decimal(line, place) for line in lines[1:-1]], place)


def paired(numbers: Sequence[int], place: str) -> Pieces:
    if len(numbers) > 2 * MAX_PIECES:
        too_many(place)
    if len(numbers) % 2:
        damaged(place, "its map is truncated")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def bounded(size: int, place: str) -> int:
    if size > MAX_SPARSE:
        raise LimitError(f"{place}: a sparse file of {size:,} bytes; at most {format_binary(MAX_SPARSE)} are filled: store it as a plain file")
    return size


def too_many(place: str) -> NoReturn:
    raise LimitError(f"{place}: a sparse file of more than {MAX_PIECES:,} pieces; store it as a plain file")


def damaged(place: str, what: str) -> NoReturn:
    raise CorruptError(f"{place}: a damaged sparse file: {what}; fetch the archive again or write it again")
