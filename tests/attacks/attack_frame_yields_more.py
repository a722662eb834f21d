"""A frame that announces exactly raw, and contains more. The announcement is not the content."""

from __future__ import annotations

from attacks.craft import patched, rle_frame
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, ZSTD), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda _: rle_frame(2**20, announced=32))
