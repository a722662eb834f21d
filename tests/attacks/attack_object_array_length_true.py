"""A length that is true: Python counts it as 1."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [True], bytes(1)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
