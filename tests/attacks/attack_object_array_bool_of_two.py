"""A bool in an array in an object that is 2: in C it is true, and not equal to true."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["bool", [2], b"\1\2"]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
