"""A cell of a NARROW list that yields one and a half numbers, in a page whose raw agrees."""

from __future__ import annotations

from dataclasses import replace
from struct import pack
from typing import Any

from reference import sample
from reference.builder import Encoding, build
from reference.wire import NARROW, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<2q", 7, 8)], Encoding(NARROW, ZSTD, cells=True, element=8, number=2))

    def lie(name: str, key: tuple[Any, ...], value: Any) -> Any:
        return b"\0\0\0abc" if name == "cell" else value | {"raw": 16 + 64 + 3} if name == "page" else value

    return build(replace(plan, patch=lie))
