"""Numbers stored in 4 bytes that stand for elements of 2: the page would become smaller when it is
read.
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
    plan = sample.one(kind, [pack("<q", 7)], Encoding(NARROW, element=8, number=4))
    return patched(plan, "content", lambda page: pack("<QBB6x", 7, 2, 4) + page[16:])
