"""The page table counts two nulls, the validity bits one.
A reader that allocates or skips by the count is wrong.
"""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a", None, b"c"], Encoding(VAR), nullable=True), "page", setting(nulls=2))
