"""A page of 32 KiB that unpacks to 1 GiB, all announced truly. The format allows it; a reader says what its own limit is, before
it allocates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from attacks.craft import rle_frame
from reference import sample
from reference.builder import Encoding, build
from reference.wire import CONST, PAGE_CODED, ZSTD

EXPECT = "LimitError"


def make() -> bytes:
    plan = sample.one("bytes", [b""], Encoding(CONST, ZSTD), flags=PAGE_CODED)

    def bomb(name: str, key: tuple, value: Any) -> Any:
        return rle_frame(2**30) if name == "stored" else value | {"raw": 2**30} if name == "page" else value

    return build(replace(plan, patch=bomb))
