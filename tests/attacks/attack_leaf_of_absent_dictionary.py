"""A leaf names dictionary 2 of 1: the k-th dictionary is read from a table that ends before."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "leaf", setting(dictionary=2), (2,))
