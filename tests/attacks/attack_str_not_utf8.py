"""A value of type str that is not UTF-8: every hash and length is right, and building the value fails."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("str", [b"good", b"\xed\xa0\x80"], Encoding(VAR)))
