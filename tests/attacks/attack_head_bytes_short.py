"""The hash covers the block head but not the page table: pages could be replaced under a good root."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "chunk", setting(head_bytes=16), (b"DATA", 0, 0))
