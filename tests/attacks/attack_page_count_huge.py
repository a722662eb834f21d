"""65535 pages in a block: the page table would reach beyond the chunk."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "block", setting(pages=65535), (1, 0))
