"""The last end of a cell is more than the cell yields: memory behind it would be read."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"ab" * 40, b"c" * 9, b"d" * 30], Encoding(VAR, ZSTD, cells=True, together=2), flags=PAGE_CODED)
    return patched(plan, "ends", lambda ends: pack("<3H", 80, 60_000, 30) + ends[6:])
