"""A page whose own hash is wrong, in a chunk whose hash is right: both must be checked."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "page", setting(hash=1), (0, 1, 9))
