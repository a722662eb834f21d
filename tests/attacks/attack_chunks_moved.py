"""Two chunks exchanged, and the index made to fit. Neither was hashed again: the seed has the chunk's offset, so both fail."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build, places, put, reseal_footer
from reference.wire import FIXED, INDEX

EXPECT = "CorruptError"


def make() -> bytes:
    shard = build(sample.one("int32", [b"aaaa", b"bbbb", b"cccc", b"dddd"], Encoding(FIXED), width=4, block=2))
    at = places(shard)
    (a, b), size = at.blocks, at.blocks[1] - at.blocks[0]
    first, second = (INDEX.read(shard, entry) for entry in at.index)
    shard = shard[:a] + shard[b : b + size] + shard[a : a + size] + shard[b + size :]
    shard = put(put(shard, INDEX, at.index[0], hash=second.hash), INDEX, at.index[1], hash=first.hash)
    return reseal_footer(shard)
