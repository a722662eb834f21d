"""A cell of 20 bytes that announces 1 GiB, in a page whose raw is a few KiB: the sum of what cells announce is limited by raw."""

from __future__ import annotations

from attacks.craft import patched, rle_frame
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 3000, b"b" * 3000], Encoding(VAR, ZSTD, cells=True))
    return patched(plan, "cell", lambda _: b"\0\0\1" + (2**30).to_bytes(4, "little") + rle_frame(3000, announced=2**30)[4:], (0, 0, 0, 1))
