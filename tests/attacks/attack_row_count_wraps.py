"""With one row a block, 2^32 + 3 rows need 2^32 + 3 blocks: in 32 bits that is 3, which is what the index has."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build, places, put, reseal
from reference.wire import FIXED, FOOT, TRAILER

EXPECT = "CorruptError"


def make() -> bytes:
    shard = build(sample.one("int8", [b"a", b"b", b"c"], Encoding(FIXED), width=1, block=1))
    at, rows = places(shard), 2**32 + 3
    return reseal(put(put(shard, FOOT, at.footer + 32, row_count=rows), TRAILER, at.trailer, row_count=rows))
