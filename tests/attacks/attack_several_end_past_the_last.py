"""An end in the middle of a cell is more than the last: a value would reach out of its cell."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"ab" * 40, b"c" * 9, b"d" * 30], Encoding(VAR, ZSTD, cells=True, together=2), flags=PAGE_CODED)
    return patched(plan, "ends", lambda ends: pack("<3H", 60_000, 89, 30) + ends[6:])
