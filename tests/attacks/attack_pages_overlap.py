"""Two pages at one place. Nothing would break while reading; but bytes that belong to two leaves can belong to none as well."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Leaf, Plan
from reference.wire import FIXED_LEAF

EXPECT = "CorruptError"


def make() -> bytes:
    cells = {0: [b"a" * 8], 1: [b"a" * 8]}
    schema = {"container": "dict", "fields": [sample.field("a", "int64", 0), sample.field("b", "int64", 1)]}
    plan = Plan((Leaf(0, FIXED_LEAF, 8), Leaf(1, FIXED_LEAF, 8)), cells, sample.dump(schema))
    return patched(plan, "page", setting(offset=128), (0, 0, 1))
