"""An array in an object with a byte more than its shape asks for."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int16", [2], bytes(5)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
