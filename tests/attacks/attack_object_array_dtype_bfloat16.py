"""An array of bfloat16 in an object, which the page leaves out."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["bfloat16", [2], bytes(4)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
