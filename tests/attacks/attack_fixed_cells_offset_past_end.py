"""The offsets of a fixed leaf's cells point behind the page, between two rows that are good."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [bytes(range(32))] * 3, Encoding(FIXED, ZSTD, cells=True), width=32)
    return patched(plan, "content", lambda page: page[:4] + pack("<I", 2**31) + page[8:])
