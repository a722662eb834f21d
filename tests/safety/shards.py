"""Shards for the safety tests, made by the reference writer: one of exactly 64 KiB with every layout, codec, flag and a dictionary.

No tests here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from reference import sample
from reference.builder import Encoding, Leaf, Plan, build
from reference.wire import FIXED, LZ4, NARROW, PAGE_CODED, VAR, VARIABLE_LEAF, ZSTD

SIZE = 65536
TIMES = 3  # the rows of sample.rich(), so many times
FILLER = 999


def noise(size: int) -> bytes:
    state, out = 1, bytearray()
    for _ in range(size):
        state = (state * 1103515245 + 12345) % 2**31
        out.append(state >> 16 & 255)
    return bytes(out)


def full(filler: int, nonce: int, flavour: int) -> Plan:
    """Every layout and codec (see sample.rich), and a leaf that fills the shard up. The flavour changes some values."""
    plan = sample.rich()
    columns: dict[int, list[bytes | None]] = {key: cells * TIMES for key, cells in plan.columns.items()}
    rows = len(columns[0])
    columns[0] = [(1000 + 37 * row + flavour).to_bytes(4, "little") for row in range(rows)]
    columns[FILLER] = [noise(filler if row == 0 else row) for row in range(rows)]
    leaves = tuple(replace(leaf, flags=leaf.flags | PAGE_CODED) if leaf.id in (0, 7, 8) else leaf for leaf in plan.leaves)
    encodings: dict[Any, Encoding] = plan.encodings | {
        (0, 1): Encoding(NARROW, LZ4, element=4, number=2), (0, 2): Encoding(FIXED), (0, 3): Encoding(FIXED, LZ4),
        (12, 1): Encoding(VAR, short=True), (13, 1): Encoding(VAR, ZSTD, cells=True), FILLER: Encoding(VAR),
        (2, 4): Encoding(VAR, ZSTD, cells=True, dictionary=True, together=3), (2, 5): Encoding(VAR, LZ4, cells=True, short=True, dictionary=True, together=70),
        (22, 5): Encoding(FIXED, ZSTD, cells=True, together=2), (22, 6): Encoding(FIXED, LZ4, cells=True, short=True, together=3),
        (22, 7): Encoding(NARROW, ZSTD, cells=True, element=2, number=1, base=0, together=2),
        (24, 4): Encoding(NARROW, ZSTD, cells=True, element=8, number=1, together=3), (24, 5): Encoding(NARROW, LZ4, cells=True, short=True, element=8, number=2, together=2),
    }
    fields = {"container": "dict", "fields": [*sample.RICH_SCHEMA["fields"], sample.field("filler", "bytes", FILLER)]}
    return replace(plan, leaves=(*leaves, Leaf(FILLER, VARIABLE_LEAF)), columns=columns, schema=sample.dump(fields),
                   encodings=encodings, nonce=nonce)


@cache
def full_shard(nonce: int = 0x1234, flavour: int = 0) -> bytes:
    """A shard of exactly 65,536 bytes."""
    low, high = 0, SIZE
    while low < high:  # the smallest filler that makes it so long
        middle = (low + high) // 2
        if len(build(full(middle, nonce, flavour))) < SIZE:
            low = middle + 1
        else:
            high = middle
    shard = build(full(low, nonce, flavour))
    assert len(shard) == SIZE, len(shard)
    return shard
