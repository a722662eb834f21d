"""footer_offset points to the trailer itself, and the lengths are made to fit: a footer that contains its own address."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = len(shard) - 64
    return reseal(put(shard, TRAILER, at, footer_offset=at, footer_bytes=0, file_bytes=len(shard)))
