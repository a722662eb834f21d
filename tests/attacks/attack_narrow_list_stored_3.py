"""Numbers stored in 3 bytes, which no reader's table of widening loops has."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<3q", 7, 8, 9)], Encoding(NARROW, element=8, number=1))
    return patched(plan, "content", lambda page: pack("<QBB6x", 7, 8, 3) + page[16:])
