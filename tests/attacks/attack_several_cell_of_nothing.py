"""A cell with bytes, though all its values are empty."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"", b"", b"d" * 30], Encoding(VAR, ZSTD, cells=True, together=2), flags=PAGE_CODED)
    return patched(plan, "cell", lambda cell: cell or b"\0\0\0SECR")
