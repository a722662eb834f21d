"""A block 8 bytes after a multiple of 64: its pages would not be aligned in memory."""

from __future__ import annotations

from reference.builder import places, put, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = places(shard)
    return reseal_footer(put(shard, INDEX, at.index[2], offset=at.blocks[2] + 8))
