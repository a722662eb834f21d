"""A NARROW page of lists whose values, widened eightfold, are more than 2^30 bytes; a zstd frame of
zeros is a few KiB of it.
"""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import Any

from zstandard import ZstdCompressor

from reference import sample
from reference.builder import Encoding, build
from reference.wire import NARROW, PAGE_CODED, ZSTD

EXPECT = "LimitError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [b""] * 2, Encoding(NARROW, ZSTD, element=8, number=1), flags=PAGE_CODED)
    size = 2**27 + 1
    head = pack("<QBB6x", 0, 8, 1) + pack("<3I", 0, size, size).ljust(64, b"\0")
    stored = ZstdCompressor(1).compress(head + bytes(size))

    def lie(name: str, key: tuple[Any, ...], value: Any) -> Any:
        return stored if name == "stored" else value | {"raw": len(head) + size} if name == "page" else value

    return build(replace(plan, patch=lie))
