"""Elements of 3 bytes: no integer has so many."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<2q", 7, 8)], Encoding(NARROW, element=8, number=1))
    return patched(plan, "content", lambda page: pack("<QBB6x", 7, 3, 1) + page[16:])
