"""Bytes behind the last cell of a fixed leaf, which no offset names."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [b"ab" * 16] * 2, Encoding(FIXED, ZSTD, cells=True), width=32)
    return patched(plan, "content", lambda page: page + b"SECR")
