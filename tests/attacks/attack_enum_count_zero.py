"""A table of no values, whose codes are 0 all the same.
The first look-up is already outside.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("str", [b"", b""], Encoding(ENUM))
    return patched(plan, "content", lambda page: pack("<II", 0, 1) + bytes(8) + bytes(4))
