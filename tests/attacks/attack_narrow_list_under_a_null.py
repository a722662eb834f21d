"""A null list that has numbers in a NARROW page."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<2q", 7, 8), None], Encoding(NARROW, element=8, number=1), nullable=True)
    return patched(plan, "content", lambda page: page[:24] + pack("<I", 6) + page[28:] + b"SECR")
