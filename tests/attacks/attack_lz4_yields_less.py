"""An lz4 block of 16 bytes where raw says 32: lz4 knows no length of its own, only what it happened to write."""

from __future__ import annotations

import lz4.block

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4, PAGE_CODED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, LZ4), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda _: lz4.block.compress(bytes(16), store_size=False))
