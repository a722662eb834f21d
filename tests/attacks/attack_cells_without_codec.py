"""CELLS with codec none: nothing says what the first byte of a cell means."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, NONE, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a" * 50], Encoding(VAR, LZ4, cells=True)), "page", setting(codec=NONE))
