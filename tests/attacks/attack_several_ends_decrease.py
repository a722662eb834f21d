"""The ends of the values of a cell decrease: the second would have a negative length."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"ab" * 40, b"c" * 9, b"d" * 30], Encoding(VAR, ZSTD, cells=True, together=2), flags=PAGE_CODED)
    return patched(plan, "ends", lambda ends: pack("<3H", 89, 80, 30) + ends[6:])
