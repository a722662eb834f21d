"""Two blocks of one group at one place: some rows are read twice and some never."""

from __future__ import annotations

from reference.builder import places, reseal
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    first, second = places(shard).index[:2]
    return reseal(shard[:second] + shard[first : first + INDEX.size] + shard[second + INDEX.size :])
