"""A chunk from a shard with another nonce, at the same offset, whose hash the index names. The nonce keeps it out."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build, places, put, reseal_footer
from reference.wire import CHUNK, FIXED, INDEX

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [b"aaaa", b"bbbb"], Encoding(FIXED), width=4)
    shard, other = build(plan), build(replace(plan, nonce=77))
    at = places(shard)
    start, stop = at.blocks[0], at.footer
    shard = shard[:start] + other[start:stop] + shard[stop:]
    return reseal_footer(put(shard, INDEX, at.index[0], hash=CHUNK.read(other, start).hash))
