"""The extended headers, PAX and GNU, which describe the member after them. It reads no archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from atlas_ds.bridge.tar.numbers import decimal
from atlas_ds.bridge.tar.sparse import PREFIX
from atlas_ds.errors import CorruptError, LimitError, UnsupportedError

MAX_RECORDS = 1 << 16  # of one header; real ones have ten, and two for each piece of a sparse file
RECORD = re.compile(rb"([1-9][0-9]{0,6}) ")
UTF8 = b"ISO-IR 10646 2000 UTF-8"


@dataclass(slots=True)
class Extended:
    """long: the name in a GNU header; path, sparse_path, size: from PAX records; sparse: the
    GNU.sparse records; seen: types of the headers."""

    long: bytes | None = None
    path: bytes | None = None
    sparse_path: bytes | None = None
    size: int | None = None
    sparse: list[tuple[bytes, bytes]] = field(default_factory=list)
    seen: bytes = b""


def records(data: bytes, start: int, where: str) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each record. start: the byte in the archive where the data begin."""
    at = count = 0
    while at < len(data):
        found = RECORD.match(data, at)
        end = at + int(found[1]) if found else 0
        key, equals, value = data[found.end() : end - 1].partition(b"=") if found else (b"", b"", b"")
        if not equals or not key or end > len(data) or data[end - 1] != 10:
            raise CorruptError(f"{where}: byte {start + at}: a damaged PAX record; fetch the archive again or write it again")
        count += 1
        if count > MAX_RECORDS:
            raise LimitError(f"{where}: byte {start + at}: a PAX header of more than {MAX_RECORDS:,} records; write the archive again")
        yield key, value
        at = end


def read_pax(extended: Extended, data: bytes, start: int, where: str, *, is_global: bool) -> None:
    """Adds the records of a header. Global records must not set name or size: they would
    silently change all members."""
    place = f"{where}: byte {start}"
    for key, value in records(data, start, where):
        is_sparse = key.startswith(PREFIX)
        if is_global and (is_sparse or key in (b"path", b"size")):
            raise UnsupportedError(f"{place}: a global PAX header sets {key[:40].decode('latin-1')!r} for all members; write the archive again")
        if key == b"hdrcharset" and value != UTF8:
            raise UnsupportedError(f"{place}: names in the charset {value[:40]!r}; write the archive again with UTF-8 names")
        if key == b"path":
            extended.path = value
        elif key == b"size":
            extended.size = decimal(value, place)
        elif is_sparse:
            extended.sparse.append((key, value))
            extended.sparse_path = value if key == PREFIX + b"name" else extended.sparse_path
