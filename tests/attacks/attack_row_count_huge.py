"""2^63 rows in footer and trailer. The block index has room for three blocks of each group, so they cannot be there."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import FOOT, TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = places(shard)
    return reseal(put(put(shard, FOOT, at.footer + 32, row_count=2**63), TRAILER, at.trailer, row_count=2**63))
