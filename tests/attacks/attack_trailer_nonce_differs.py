"""The trailer has another nonce than the header: a trailer of another shard."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, TRAILER, len(shard) - 64, nonce=99))
