"""Bytes between two pages: the page hashes do not cover them, so they must be zero."""

from __future__ import annotations

from reference import sample
from reference.builder import Leaf, Plan, build, reseal
from reference.wire import FIXED_LEAF

EXPECT = "CorruptError"


def make() -> bytes:
    cells = {0: [b"a" * 8], 1: [b"b" * 8]}
    schema = {"container": "dict", "fields": [sample.field("a", "int64", 0), sample.field("b", "int64", 1)]}
    shard = build(Plan((Leaf(0, FIXED_LEAF, 8), Leaf(1, FIXED_LEAF, 8)), cells, sample.dump(schema)))
    at = shard.index(b"a" * 8) + 20
    return reseal(shard[:at] + b"!" + shard[at + 1 :])
