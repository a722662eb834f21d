"""A naive datetime whose fraction has three digits: the page has none, or six."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(1, b"2020-01-02T03:04:05.123")
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
