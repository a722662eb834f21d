"""VALIDITY with all bits set and no nulls: a second way to write the same page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a", None, b"c"], Encoding(VAR), nullable=True)

    def fill(name: str, key: tuple, value: Any) -> Any:
        return b"\7" + bytes(63) if name == "validity" else value | {"nulls": 0} if name == "page" else value

    return build(replace(plan, patch=fill))
