"""CELLS on an ENUM page: codes would be read as offsets."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import CELLS, ENUM, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16, b"cd" * 16] * 3, Encoding(ENUM), width=32)
    return patched(plan, "page", setting(flags=CELLS, codec=ZSTD))
