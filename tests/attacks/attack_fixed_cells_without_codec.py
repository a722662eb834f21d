"""Cells of a fixed leaf with codec none: there is nothing to take them apart with."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    return patched(sample.one(kind, [b"ab" * 16] * 2, Encoding(FIXED, LZ4, cells=True), width=32), "page", setting(codec=0))
