"""Twenty pages of 2^28 bytes each: in 32 bits the block's raw_bytes is a quarter of that.
Each page is within the limit, the block is not.
"""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding, Leaf, Plan, places, put, reseal
from reference.wire import CONST, FOOT, INDEX, PAGE_CODED, VARIABLE_LEAF, ZSTD

EXPECT = "LimitError"


def make() -> bytes:
    leaves = tuple(Leaf(i, VARIABLE_LEAF, flags=PAGE_CODED) for i in range(20))
    schema = {"container": "list", "fields": [sample.field(str(i), "bytes", i) for i in range(20)]}
    schema["fields"].sort(key=lambda field: int(field["name"]))
    encodings = {i: Encoding(CONST, ZSTD) for i in range(20)}
    plan = Plan(leaves, {i: [b"x"] for i in range(20)}, sample.dump(schema), encodings=encodings)
    shard = patched(plan, "page", setting(raw=2**28))
    at = places(shard)
    return reseal(put(shard, FOOT, at.footer + 32, raw_bytes=INDEX.read(shard, at.index[0]).raw_bytes))
