"""A cell with a byte in a leaf of width 0, whose values have none."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [0]}}
    plan = sample.one(kind, [b""] * 2, Encoding(FIXED, ZSTD, cells=True), width=0)
    return patched(plan, "content", lambda page: pack("<3I", 0, 4, 4).ljust(64, b"\0") + b"\0\0\0a")
