"""A map with a key twice: one reader shows the first value, another the last."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\x91\x82\xa1a\x01\xa1a\x02"], Encoding(VAR)))
