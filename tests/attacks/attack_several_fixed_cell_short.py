"""A cell of a fixed leaf that yields one value less than it has."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16] * 3, Encoding(FIXED, ZSTD, cells=True, together=3), width=32, flags=PAGE_CODED)
    return patched(plan, "cell", lambda _: b"\0\0\0" + b"ab" * 32)
