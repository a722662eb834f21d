"""A page with cells of a fixed leaf that is as long as its values would be in place: its offsets
lie beyond it.
"""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import CELLS, FIXED, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int64", [b"abcdefgh"] * 4, Encoding(FIXED), width=8)
    return patched(plan, "page", setting(flags=CELLS, codec=LZ4))
