"""A cell of a fixed leaf that yields a byte more than the width: it would be written into the next
row of a batch.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [bytes(range(32))] * 2, Encoding(FIXED, LZ4, cells=True), width=32)
    return patched(plan, "cell", lambda cell: b"\0\0\0" + bytes(range(33)), (0, 0, 0, 0))
