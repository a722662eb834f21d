"""2^32 - 1 blocks: times 24 that is no u32 any more, and far more than the footer holds."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import FOOT

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, FOOT, places(shard).footer + 32, block_count=2**32 - 1))
