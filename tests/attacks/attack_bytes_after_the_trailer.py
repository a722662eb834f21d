"""64 bytes appended. What does not end in a trailer is not whole, however good its beginning (either class of error will do:
TruncatedError is a CorruptError).
"""

from __future__ import annotations

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return shard + bytes(64)
