"""The first block of group 1 is said to be a block of group 0. Its hashes are right, its leaves are others."""

from __future__ import annotations

from reference.builder import places, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    entries = places(shard).index
    own, other = entries[3], entries[0]
    return reseal_footer(shard[:own] + shard[other : other + INDEX.size] + shard[own + INDEX.size :])
