"""A cell of an lz4 page of the form 7.
Only 0 and 1 have a meaning there.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 100], Encoding(VAR, LZ4, cells=True))
    return patched(plan, "cell", lambda cell: b"\0\0\7" + cell)
