"""Cells of narrowed lists with a raw too small for the offsets that it counts: a subtraction below
zero.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<20q", *range(20))] * 3, Encoding(NARROW, ZSTD, cells=True, element=8, number=1))
    return patched(plan, "page", setting(raw=20))
