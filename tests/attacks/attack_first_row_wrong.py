"""A block that says it begins at row 5: it is not the block of its place in the index."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "block", setting(first_row=5), (0, 1))
