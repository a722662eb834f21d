"""A dtype that is a list: a structured one to NumPy, and not hashable to Python."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb([["int8"], [2], bytes(2)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
