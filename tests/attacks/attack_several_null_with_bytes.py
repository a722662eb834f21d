"""A null among the values of a cell has bytes: what was to be forgotten is still there."""

from __future__ import annotations

from dataclasses import replace
from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    how = Encoding(VAR, ZSTD, cells=True, together=2)
    plan = sample.one("bytes", [b"ab" * 40, None, b"d" * 30], how, flags=PAGE_CODED, nullable=True)
    plan = replace(plan, patch=lambda name, key, value: b"\0\0\0" + b"ab" * 40 + b"SECR" if name == "cell" and key[3] == 0 else value)
    return patched(plan, "ends", lambda ends: pack("<3H", 80, 84, 30) + ends[6:])
