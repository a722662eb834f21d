"""Half a file: a copy that stopped. Only the end of a file can say that it is whole, so a reader looks there first."""

from __future__ import annotations

EXPECT = "TruncatedError"


def make(shard: bytes) -> bytes:
    return shard[: len(shard) // 2]
