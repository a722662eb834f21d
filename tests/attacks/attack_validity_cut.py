"""A page that ends within its validity bits.
Even the bits are bounds-checked.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a", None, b"c"], Encoding(VAR), nullable=True)
    return patched(plan, "stored", lambda page: page[:1])
