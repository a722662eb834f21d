"""Header and footer each have a good header, of different shards: one part was replaced."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import HEADER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, HEADER, 0, compat=1))
