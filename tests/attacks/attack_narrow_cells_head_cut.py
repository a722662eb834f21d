"""A NARROW page with cells that ends in its head: the rest of it would be read from the next page.
"""

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
    return patched(plan, "content", lambda page: page[:12])
