"""Numbers in the headers of tars: octal digits, GNU's base 256, decimal digits in PAX records.
It reads no file."""

from __future__ import annotations

import re

from atlas_ds.errors import CorruptError, LimitError

MAX_SIZE = (1 << 63) - 1
OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
DECIMAL = re.compile(rb"[0-9]{1,20}")


def octal(field: bytes, where: str, at: int) -> int:
    """Octal digits, or a big-endian number after a byte 0x80 (GNU's base 256). where, at: file
    and byte, for errors."""
    if field[0] == 0x80:
        return bounded(int.from_bytes(field[1:], "big"), f"{where}: byte {at}")
    if field[0] == 0xFF:
        raise CorruptError(f"{where}: byte {at}: a negative number; fetch the archive again or write it again")
    digits = OCTAL.fullmatch(field)
    if digits is None:
        raise CorruptError(f"{where}: byte {at}: not an octal number: {field!r}; fetch the archive again or write it again")
    return int(digits[1] or b"0", 8)


def decimal(text: bytes, place: str) -> int:
    """A number in a PAX record. place: file and byte, for errors."""
    if DECIMAL.fullmatch(text) is None:
        raise CorruptError(f"{place}: not a number: {text[:40]!r}; fetch the archive again or write it again")
    return bounded(int(text), place)


def bounded(value: int, place: str) -> int:
    if value > MAX_SIZE:
        raise LimitError(f"{place}: the number {value} is over 2^63 - 1")
    return value
