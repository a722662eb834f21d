"""A header that claims to be longer than 64 bytes. No feature bit allows that, so nothing may be skipped or guessed."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "header", setting(header_bytes=128))
