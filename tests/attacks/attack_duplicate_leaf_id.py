"""Two leaves of one id: which one is read would depend on the reader."""

from __future__ import annotations

from reference import sample
from reference.builder import Leaf, Plan, build
from reference.wire import FIXED_LEAF

EXPECT = "CorruptError"


def make() -> bytes:
    schema = {"container": "dict", "fields": [sample.field("a", "int8", 7), sample.field("b", "int8", 7)]}
    leaf = Leaf(7, FIXED_LEAF, 1)
    return build(Plan((leaf, leaf), {7: [b"x", b"y"]}, sample.dump(schema)))
