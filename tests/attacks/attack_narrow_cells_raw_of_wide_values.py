"""Cells of narrowed values, and a raw of the values as they are: the page has two opinions of its
size.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16))] * 2, Encoding(NARROW, ZSTD, cells=True, element=2, number=1), width=32)
    return patched(plan, "page", setting(raw=16 + 2 * 32))
