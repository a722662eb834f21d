"""Some other file. It is named as no shard at all, rather than as one that was cut."""

from __future__ import annotations

EXPECT = "CorruptError"


def make() -> bytes:
    return b"PK\3\4 This is quite another kind of file. " * 50
