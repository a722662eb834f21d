"""A shape whose product is 0 modulo 2^64, for a leaf of width 0: an array that claims 2^64 elements of no memory."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "LimitError"


def make() -> bytes:
    plan = sample.one({"array": {"dtype": "int8", "shape": [2**32, 2**32]}}, [b""], Encoding(FIXED), width=0)
    return build(plan)
