"""Elements of no bytes: width / element is a division by zero."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [b"aaaa"], Encoding(NARROW), width=4)
    return patched(plan, "content", lambda page: pack("<QBB6x", 0, 0, 0) + page[16:])
