"""A page that says it is of another leaf: a page is found by rank, and its leaf must agree."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "page", setting(leaf=8), (0, 0, 0))
