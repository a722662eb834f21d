"""A shape whose product is 0 modulo 2^64, over no bytes at all.
The product of untrusted numbers needs a check at every step.
"""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Leaf, Plan, build
from reference.wire import FIXED_LEAF, VARIABLE_LEAF

EXPECT = "LimitError"


def make() -> bytes:
    schema = {"container": "value", "fields": [sample.field("value", {"tensor": {"dtype": "int8", "ndim": 4}}, 0, 1)]}
    leaves = (Leaf(0, VARIABLE_LEAF), Leaf(1, FIXED_LEAF, 16))
    return build(Plan(leaves, {0: [b""], 1: [pack("<4I", *[65536] * 4)]}, sample.dump(schema)))
