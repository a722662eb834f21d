"""SCHM and the layout in the footer are both well formed, and differ: a repairer would see another table than a reader."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import LAYOUT, LEAF

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, LEAF, places(shard).schm + 32 + LAYOUT.size, flags=2))
