"""A CELLS page whose raw is more than its values make: batches are allocated by it."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a" * 100], Encoding(VAR, LZ4, cells=True)), "page", setting(raw=8192))
