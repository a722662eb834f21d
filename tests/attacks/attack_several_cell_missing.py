"""A cell of no bytes, though its values have some."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"ab" * 40, b"c" * 9, b"d" * 30], Encoding(VAR, ZSTD, cells=True, together=2), flags=PAGE_CODED)
    return patched(plan, "cell", lambda cell: b"" if len(cell) < 30 else cell)
