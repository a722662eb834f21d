"""An array in an object whose shape asks for 4 GiB, with eight bytes."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int64", [2**29], bytes(8)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
