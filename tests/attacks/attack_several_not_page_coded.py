"""Cells of several values in a leaf that is not PAGE_CODED: a reader that trusts the flag expects that a row costs itself only."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("bytes", [b"ab" * 40, b"c" * 9], Encoding(VAR, ZSTD, cells=True, together=2)))
