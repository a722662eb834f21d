"""The first two index entries of a group exchanged: each chunk is good, and holds other rows than those asked for."""

from __future__ import annotations

from reference.builder import places, reseal
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    first, second = places(shard).index[:2]
    return reseal(shard[:first] + shard[second : second + INDEX.size] + shard[first:second] + shard[second + INDEX.size :])
