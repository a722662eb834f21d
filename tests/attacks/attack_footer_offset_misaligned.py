"""A footer 8 bytes from where it is: chunks start at multiples of 64, and everything aligned to them would be wrong."""

from __future__ import annotations

from reference.builder import places, put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = places(shard)
    shard = shard[: at.footer] + bytes(8) + shard[at.footer :]
    return reseal(put(shard, TRAILER, at.trailer + 8, footer_offset=at.footer + 8, file_bytes=len(shard)))
