"""Bytes in the unused part of NARROW's head: a place to hide in, and to be read by a later version.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16))] * 2, Encoding(NARROW, element=2, number=1), width=32)
    return patched(plan, "content", lambda page: page[:15] + b"\1" + page[16:])
