"""An array of text with one text less than its shape has places."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["str", [3], ["a", "b"]]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
