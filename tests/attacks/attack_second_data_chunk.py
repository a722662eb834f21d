"""A DATA chunk that the index does not know: rows that no reader reads, though a repairer would."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import places, reseal
from reference.wire import INDEX, pad

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    at = places(shard).blocks[0]
    entry = INDEX.read(shard, places(shard).index[0])
    copy = shard[at : at + pad(entry.bytes, 64)]
    return reseal(patched(sample.rich(), "whole", lambda _: copy, (b"FOOT",)))
