"""An array in an object whose shape is one number and no list."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", 4, bytes(4)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
