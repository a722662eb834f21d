"""cell_rows without CELLS, which no reader may take for anything."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"ab" * 40, b"c" * 9], Encoding(VAR, ZSTD), flags=PAGE_CODED)
    return patched(plan, "page", setting(cell_rows=2))
