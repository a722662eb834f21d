"""An lz4 match that reaches back before the beginning: without a dictionary that is whatever lies before the buffer."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, LZ4, PAGE_CODED

EXPECT = "CorruptError"


def make() -> bytes:
    """One literal, a match of 7 bytes from 4096 back, then 24 literals: 32 bytes, as `raw` says."""
    plan = sample.one("int32", [b"abcd"] * 8, Encoding(FIXED, LZ4), width=4, flags=PAGE_CODED)
    block = b"\x13a" + (4096).to_bytes(2, "little") + b"\xf0\x09" + b"abcd" * 6
    return patched(plan, "stored", lambda _: block)
