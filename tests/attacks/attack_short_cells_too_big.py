"""SHORT on a CELLS page with 70,000 bytes of cells: offsets modulo 2^16 ascend, and do not reach the end of the data."""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import Any

from reference import sample
from reference.builder import Encoding, build
from reference.wire import CELLS, LZ4, SHORT, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = bytes(34_999)
    plan = sample.one("bytes", [value, value], Encoding(VAR, LZ4, cells=True))
    cells = (b"\0" + value) * 2  # first byte 0: the value as it is
    content = pack("<3H", 0, 4000, 70_000 % 2**16).ljust(64, b"\0") + cells

    def shorten(name: str, key: tuple[Any, ...], value: Any) -> Any:
        return content if name == "content" else value | {"flags": CELLS | SHORT} if name == "page" else value

    return build(replace(plan, patch=shorten))
