"""Every hash is right, and the values are not those that the content digest is of."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "foot", setting(digest=bytes(16)))
