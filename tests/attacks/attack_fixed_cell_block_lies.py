"""A compressed cell that announces the width, and whose block makes three quarters of it."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding, make_cell
from reference.wire import FIXED, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16, b"cd" * 16], Encoding(FIXED, LZ4, cells=True), width=32)
    return patched(plan, "cell", lambda cell: pack("<H", 32) + make_cell(LZ4, b"ab" * 12, b"")[2:], (0, 0, 0, 0))
