"""Bytes between two chunks that no hash covers: only looking at them finds them."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "gap", lambda gap: gap[:-1] + b"!", (b"SCHM",))
