"""A leaf neither fixed nor variable. A later format would say so in a feature bit; without one it is an error."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "leaf", setting(kind=3), (0,))
