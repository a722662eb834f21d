"""The footer's raw_bytes is not the sum of its blocks: a reader that allocates by it is lied to."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "foot", setting(raw_bytes=1))
