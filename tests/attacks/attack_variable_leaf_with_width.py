"""A variable leaf of width 8: code that asks for the width first would take its offsets for values."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "leaf", setting(width=8), (3,))
