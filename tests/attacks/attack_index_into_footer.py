"""A block that lies in the footer: bytes with a right hash, of another meaning."""

from __future__ import annotations

from reference.builder import places, put, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = places(shard)
    return reseal_footer(put(shard, INDEX, at.index[2], offset=at.footer))
