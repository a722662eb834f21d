"""A compressed cell of a fixed leaf that announces 48 bytes, and makes them, where the width is 32.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding, make_cell
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16, b"cd" * 16], Encoding(FIXED, ZSTD, cells=True), width=32)
    return patched(plan, "cell", lambda cell: make_cell(ZSTD, b"ab" * 24, b""), (0, 0, 0, 0))
