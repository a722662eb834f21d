"""An array of no texts whose other lengths multiply to 2^80."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["str", [0, 2**30, 2**30, 2**20], []]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
