"""A null of a fixed leaf that has a cell: a value that was to be forgotten is still there."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16, None], Encoding(FIXED, ZSTD, cells=True), width=32, nullable=True)
    return patched(plan, "content", lambda page: page[:8] + pack("<I", len(page) - 64 + 35) + page[12:] + b"\0\0\0" + b"SECR" * 8)
