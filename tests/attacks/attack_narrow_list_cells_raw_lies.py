"""Cells of narrowed lists, and a raw that is not the sum of what they yield."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<20q", *range(20))] * 3, Encoding(NARROW, LZ4, cells=True, element=8, number=1))
    return patched(plan, "page", lambda page: page | {"raw": page["raw"] + 1})
