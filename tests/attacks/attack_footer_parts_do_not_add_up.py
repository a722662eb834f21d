"""The stats are one byte shorter than the footer: a byte that belongs to nothing."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import FOOT

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, FOOT, places(shard).footer + 32, stats_bytes=1))
