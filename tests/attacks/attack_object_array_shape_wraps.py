"""Lengths whose product is 2^64 and so, in 64 bits, 0: as many bytes as the array has."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [2**30, 2**30, 16], b""]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
