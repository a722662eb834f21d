"""A dtype that NumPy has and the page has not: text of four letters."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["<U4", [1], bytes(16)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
