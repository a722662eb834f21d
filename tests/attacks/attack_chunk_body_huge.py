"""A chunk of 2^64 - 1 bytes: its end, rounded up to 64, is before its start."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import CHUNK

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, CHUNK, 64, body_bytes=2**64 - 1))
