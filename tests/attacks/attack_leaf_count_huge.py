"""2^32 - 1 leaves: 16 bytes for each wraps in 32 bits. Limits are checked before anything is multiplied or allocated."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import LAYOUT

EXPECT = "LimitError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, LAYOUT, places(shard).layout, leaf_count=2**32 - 1))
