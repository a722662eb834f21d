"""An array of 33 dimensions: one more than the page allows."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [1] * 33, bytes(1)]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
