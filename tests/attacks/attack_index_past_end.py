"""A block far behind the end of the file: an offset to seek to, that nobody checked."""

from __future__ import annotations

from reference.builder import places, put, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal_footer(put(shard, INDEX, places(shard).index[2], offset=2**62))
