"""A block of more rows than its group has in a block: what is behind the last value would be read as values."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "block", setting(rows=2**20), (0, 1))
