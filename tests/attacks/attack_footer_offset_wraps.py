"""footer_offset + pad(footer_bytes, 64) + 64 is the file's length only modulo 2^64: sums of untrusted u64 overflow."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    offset = 2**64 - 128
    return reseal(put(shard, TRAILER, len(shard) - 64, footer_offset=offset, footer_bytes=len(shard) + 64, file_bytes=len(shard)))
