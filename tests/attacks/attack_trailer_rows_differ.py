"""The trailer promises more rows than the footer has: who trusts the one allocates, who trusts the other reads."""

from __future__ import annotations

from reference.builder import put, reseal
from reference.wire import TRAILER

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(put(shard, TRAILER, len(shard) - 64, row_count=2**40))
