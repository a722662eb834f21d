"""A frame with zstd's own checksum. The page has a hash already; one way to write a page means one way to read it."""

from __future__ import annotations

import zstandard

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, ZSTD), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda _: zstandard.ZstdCompressor(write_checksum=True).compress(bytes(32)))
