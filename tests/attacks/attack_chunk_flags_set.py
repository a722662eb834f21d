"""Chunk flags are zero; a reader that ignored them could never be told anything by them."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import CHUNK

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, CHUNK, places(shard).blocks[0], flags=1))
