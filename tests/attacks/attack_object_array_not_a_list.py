"""An array that is a map: its members have names, and no places."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb({"dtype": "int8"}))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
