"""Two cells of a fixed leaf, of 30 and 34 bytes: their sum, and so the page's raw, is right."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [bytes(range(32))] * 2, Encoding(FIXED, ZSTD, cells=True), width=32)
    plan = replace(plan, patch=lambda name, key, value: b"\0\0\0" + bytes(range(30 + 4 * key[3])) if name == "cell" else value)
    return build(plan)
