"""An array within an array, as one of its texts."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["str", [1], [msgpack.ExtType(2, b"x")]]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
