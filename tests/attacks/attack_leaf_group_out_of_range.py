"""A leaf of group 9 of 2: an index into a table of groups, taken from the file."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "leaf", setting(group=9), (3,))
