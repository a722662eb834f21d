"""The stats are said to be a MiB long, after a footer of a few KiB: reading them would read past the end of the file."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import FOOT

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, FOOT, places(shard).footer + 32, stats_bytes=2**20))
