"""A compressed page of a leaf that is not PAGE_CODED: readers may map such leaves into memory and never ask for a codec."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("bytes", [b"a" * 100], Encoding(VAR, ZSTD)))
