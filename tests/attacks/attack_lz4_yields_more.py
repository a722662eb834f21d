"""An lz4 block of 64 KiB where raw says 32: the decoder must be given the size of its buffer."""

from __future__ import annotations

import lz4.block

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4, PAGE_CODED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, LZ4), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda _: lz4.block.compress(bytes(65536), store_size=False))
