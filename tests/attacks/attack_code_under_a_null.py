"""A null of an ENUM page with code 1: it has no meaning, so it must have no content."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("str", [b"a", None, b"b"], Encoding(ENUM), nullable=True)
    return patched(plan, "content", lambda page: page[:9] + b"\1" + page[10:])
