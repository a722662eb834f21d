"""The dtype object: its bytes would be taken for pointers."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["object", [1], bytes(8)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
