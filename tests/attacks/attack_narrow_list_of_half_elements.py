"""NARROW elements of 2 bytes under a list of int64: three of them make no int64."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<q", 7)], Encoding(NARROW, element=2, number=1))
    return build(replace(plan, columns={0: [pack("<3H", 7, 8, 9)]}))
