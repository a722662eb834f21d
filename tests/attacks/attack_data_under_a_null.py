"""A null of a variable leaf with a length: whether its bytes are read depends on the reader."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"aa", None], Encoding(VAR), nullable=True)
    return patched(plan, "content", lambda page: pack("<3I", 0, 1, 2) + page[12:])
