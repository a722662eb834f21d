"""A tensor whose shape asks for more elements than its bytes have.
An array over them would read beyond.
"""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Leaf, Plan, build
from reference.wire import FIXED_LEAF, VARIABLE_LEAF

EXPECT = "CorruptError"


def make() -> bytes:
    schema = {"container": "value", "fields": [sample.field("value", {"tensor": {"dtype": "int8", "ndim": 2}}, 0, 1)]}
    leaves = (Leaf(0, VARIABLE_LEAF), Leaf(1, FIXED_LEAF, 8))
    return build(Plan(leaves, {0: [b"abcdef"], 1: [pack("<2I", 3, 3)]}, sample.dump(schema)))
