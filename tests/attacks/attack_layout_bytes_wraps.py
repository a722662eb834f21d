"""layout_bytes is 2^32 - 1: rounded up to a multiple of 8 in 32 bits that is 0, and the tables would lie over the layout."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import FOOT

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, FOOT, places(shard).footer + 32, layout_bytes=2**32 - 1))
