"""A layout of no groups, so no leaf can be in one: every loop over groups is empty and nothing is checked."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schm_layout", setting(group_count=0))
