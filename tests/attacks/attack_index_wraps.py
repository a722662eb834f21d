"""Offset and length of a block add up to a small number modulo 2^64."""

from __future__ import annotations

from reference.builder import places, put, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal_footer(put(shard, INDEX, places(shard).index[2], offset=2**64 - 64, bytes=4096))
