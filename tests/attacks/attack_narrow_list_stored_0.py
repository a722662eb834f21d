"""Numbers stored in no bytes at all: a division by zero, or a list without an end."""

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
    return patched(plan, "content", lambda page: pack("<QBB6x", 7, 8, 0) + page[16:])
