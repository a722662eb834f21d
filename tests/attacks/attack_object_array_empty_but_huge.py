"""An array of no elements whose other lengths multiply to 2^80: NumPy refuses to make it."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [0, 2**30, 2**30, 2**20], b""]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
