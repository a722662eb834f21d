"""count * width is small modulo 2^32: 2^30 + 1 values of 4 bytes look like one value."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [b"aaaa", b"aaaa"], Encoding(ENUM), width=4)
    return patched(plan, "content", lambda page: pack("<I", 2**30 + 1) + page[4:])
