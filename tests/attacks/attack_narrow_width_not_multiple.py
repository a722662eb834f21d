"""Elements of 4 bytes in values of 6: the last element of each value would be written beyond it."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"array": {"dtype": "int8", "shape": [6]}}, [b"aaaaaa"] * 2, Encoding(FIXED), width=6)
    plan = replace(plan, encodings={0: Encoding(NARROW, element=2, number=1)})
    return patched(plan, "content", lambda page: pack("<QBB6x", 0, 4, 2) + bytes(6))
