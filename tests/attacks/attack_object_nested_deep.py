"""A MessagePack value of 100,000 arrays in each other: 100 KB of input, and a recursion for each byte."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    return build(sample.one("object", [b"\x91" * 100_000 + b"\xc0"], Encoding(VAR)))
