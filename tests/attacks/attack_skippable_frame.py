"""A zstd skippable frame before the real one: a legal stream, whose skipped part can hold anything."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, ZSTD), width=4, flags=PAGE_CODED)
    skippable = bytes.fromhex("50 2A 4D 18 04 00 00 00") + b"hide"
    return patched(plan, "stored", lambda frame: skippable + frame)
