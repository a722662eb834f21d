"""A null of a fixed leaf has bytes in its cell: what was to be forgotten is still there."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    how = Encoding(FIXED, ZSTD, cells=True, together=2)
    plan = sample.one(kind, [b"ab" * 16, None], how, width=32, flags=PAGE_CODED, nullable=True)
    return patched(plan, "cell", lambda _: b"\0\0\0" + b"ab" * 16 + b"SECR" * 8)
