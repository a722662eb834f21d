"""The footer is said to begin at byte 0, over the header, and to fill the file."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, TRAILER, len(shard) - 64, footer_offset=0, footer_bytes=len(shard) - 64))
