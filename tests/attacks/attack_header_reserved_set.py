"""Reserved bytes of the header that are not zero, under a right hash: a channel for hidden bytes."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "header", setting(reserved=b"hidden"))
