"""A cell of a fixed leaf that yields a byte less than the width: the last byte of the row would be
whatever lay there before.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [bytes(range(32))] * 2, Encoding(FIXED, ZSTD, cells=True), width=32)
    return patched(plan, "cell", lambda cell: b"\0\0\0" + bytes(range(31)), (0, 0, 0, 1))
