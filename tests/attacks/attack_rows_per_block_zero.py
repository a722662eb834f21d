"""No rows in a block: the division that finds a row's block is a division by zero."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "group", setting(rows_per_block=0), (1,))
