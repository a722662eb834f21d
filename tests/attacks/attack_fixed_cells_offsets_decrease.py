"""The offsets of a fixed leaf's cells decrease: the length of a cell would be huge."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [bytes(range(32))] * 3, Encoding(FIXED, LZ4, cells=True), width=32)
    return patched(plan, "content", lambda page: page[:4] + pack("<2I", 70, 35) + page[12:])
