"""The bytes of a tar archive around its members' data, identical for equal members on any machine.
It reads nothing.

tarfile makes the same headers, but takes ten times as long, which is most of the time of exporting
small samples.
"""

from __future__ import annotations

import tarfile

BLOCK = 512
MODE = 0o444
_NAME = 100  # bytes of a plain header for the name
_SIZES = 1 << 33  # of members whose size eleven octal digits can hold
_AFTER_NAME = b"%07o\0" % MODE + b"0000000\0" * 2
_MTIME = b"00000000000\0"
_REST = (b"0" + bytes(100) + b"ustar\x0000").ljust(BLOCK - 156, b"\0")  # from the type field on: a file, no link, no owner
_SUM = sum(_AFTER_NAME + _MTIME + _REST) + 8 * ord(" ")  # the checksum field counts as spaces
_PADDING = [bytes(-length % BLOCK) for length in range(BLOCK)]


def member_header(name: str, size: int) -> bytes:
    """A plain USTAR header; for names that are long or not ASCII, one in PAX form, which begins
    with a header of its own."""
    raw = name.encode()
    if len(raw) > _NAME or len(raw) != len(name) or size >= _SIZES:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, MODE
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    length = b"%011o\0" % size
    return raw.ljust(_NAME, b"\0") + _AFTER_NAME + length + _MTIME + b"%06o\0 " % (_SUM + sum(raw) + sum(length)) + _REST


def padding(size: int) -> bytes:
    """The zeros after a member of this many bytes."""
    return _PADDING[size % BLOCK]


def archive_end(size: int) -> bytes:
    """The zeros at the end of an archive of this many bytes: two blocks, then padding to a
    complete record, as tar does."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % tarfile.RECORDSIZE)


def is_plain(name: str) -> bool:
    """Whether readers that support only plain headers (wids) see this name."""
    return name.isascii() and len(name) <= _NAME
