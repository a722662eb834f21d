"""A text that ends in NUL: NumPy's texts cannot, and drop it."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["str", [1], ["a\0"]]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
