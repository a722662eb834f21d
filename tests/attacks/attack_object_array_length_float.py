"""A length of 2.0, which is no whole number of MessagePack."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [2.0], bytes(2)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
