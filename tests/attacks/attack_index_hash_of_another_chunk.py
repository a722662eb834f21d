"""A chunk whose own hash is right, but which is not the one that the footer names: an old chunk put back."""

from __future__ import annotations

from reference.builder import places, put, reseal_footer
from reference.wire import INDEX

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal_footer(put(shard, INDEX, places(shard).index[1], hash=1))
