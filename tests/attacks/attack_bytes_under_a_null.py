"""A null of a fixed leaf whose bytes are not zero: a value that was to be forgotten is still there."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int32", [b"aaaa", None], Encoding(FIXED), width=4, nullable=True)
    return patched(plan, "content", lambda page: page[:4] + b"SECR")
