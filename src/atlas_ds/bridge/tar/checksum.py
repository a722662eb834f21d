"""Recognizes headers of tars by their checksum. It reads no archive."""

from __future__ import annotations

import zlib

from atlas_ds.bridge.tar.numbers import OCTAL

BLOCK = 512


def is_sum(stored: int, block: bytes) -> bool:
    """Whether a header's checksum is right: the sum of its bytes with spaces in the checksum
    field (POSIX pax, ustar interchange format); old tars summed signed bytes. Adler-32's lower
    half is 1 + the sum modulo 65,521, exact for 256 bytes."""
    total = (zlib.adler32(block[:148]) & 0xFFFF) + (zlib.adler32(block[156:334]) & 0xFFFF) + (zlib.adler32(block[334:]) & 0xFFFF) - 3 + 256
    return stored == total or stored == total - 256 * sum(map((127).__lt__, block[:148] + block[156:]))


def is_header(block: bytes) -> bool:
    """Whether a file that begins with this block is a tar."""
    digits = OCTAL.fullmatch(block[148:156])
    return len(block) == BLOCK and digits is not None and is_sum(int(digits[1] or b"0", 8), block)
