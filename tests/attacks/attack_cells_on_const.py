"""CELLS on a CONST page, whose one value has no offsets: the reader would look for them in the
value.
"""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import CELLS, CONST, LZ4

EXPECT = "CorruptError"


def make() -> bytes:
    kind = "bytes"
    return patched(sample.one(kind, [b"abcdefgh" * 20] * 3, Encoding(CONST)), "page", setting(flags=CELLS, codec=LZ4))
