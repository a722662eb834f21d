"""An lz4 cell that says 99 where its block makes 100 bytes.
The other cell says 101, so that the page's raw is right.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 100, b"b" * 100], Encoding(VAR, LZ4, cells=True))
    return patched(plan, "cell", lambda cell: pack("<H", 99 if b"a" in cell else 101) + cell[2:])
