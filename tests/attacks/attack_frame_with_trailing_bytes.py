"""A good frame, and bytes after it, under the page's hash.
A decoder that stops at the end of the frame never sees them.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [bytes(4)] * 8, Encoding(FIXED, ZSTD), width=4, flags=PAGE_CODED)
    return patched(plan, "stored", lambda frame: frame + b"\0")
