"""A file of a later format, its hashes right. It is refused as too new, not as broken."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "UnsupportedError"


def make() -> bytes:
    return patched(sample.rich(), "header", setting(major=3))
