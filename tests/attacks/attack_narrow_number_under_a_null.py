"""A null in a NARROW page without cells whose number is not zero."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16)), None], Encoding(NARROW, element=2, number=1), width=32, nullable=True)
    return patched(plan, "content", lambda page: page[:-1] + b"S")
