"""A list in a NARROW page with one and a half numbers: widening the half one reads into the next
value.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<2q", 7, 8), pack("<q", 9)], Encoding(NARROW, element=8, number=2))
    return patched(plan, "content", lambda page: page[:16] + pack("<3I", 0, 3, 6) + page[28:])
