"""A validity bit set for a row that the block has not: who counts bits by the word finds more valid rows than rows."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a", None, b"c"], Encoding(VAR), nullable=True)
    return patched(plan, "validity", lambda bits: bits[:-1] + b"\x80")
