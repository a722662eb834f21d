"""64 zero bytes between two chunks, in no chunk at all."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "whole", lambda _: bytes(64), (b"DATA", 0, 1))
