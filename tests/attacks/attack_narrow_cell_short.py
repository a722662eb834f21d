"""A cell of a NARROW page with one number less than the others."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16))] * 2, Encoding(NARROW, LZ4, cells=True, element=2, number=1), width=32)
    return patched(plan, "cell", lambda cell: cell[:-1], (0, 0, 0, 0))
