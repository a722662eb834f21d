"""A cell that holds a frame of no bytes. An empty value has an empty cell, and only that."""

from __future__ import annotations

from attacks.craft import patched, rle_frame
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"", b"a" * 100], Encoding(VAR, ZSTD, cells=True))
    return patched(plan, "cell", lambda _: b"\0\0\1\0\0\0\0" + rle_frame(0)[4:], (0, 0, 0, 0))
