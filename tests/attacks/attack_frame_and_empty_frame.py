"""A frame of exactly raw bytes and after it an empty one: the sum of contents is right, the number of frames is not."""

from __future__ import annotations

from attacks.craft import patched, rle_frame
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, ZSTD), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda frame: frame + rle_frame(0))
