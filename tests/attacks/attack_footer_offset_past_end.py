"""A trailer that speaks of a longer file: bytes in the middle are lost, or the trailer is another file's."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import TRAILER

EXPECT = "TruncatedError"


def make(shard: bytes) -> bytes:
    at = places(shard)
    length = len(shard) - 64 - at.footer
    return reseal(put(shard, TRAILER, at.trailer, footer_offset=at.footer + 4096, file_bytes=at.footer + 4096 + length + 64))
