"""A length of 2^63, which no index of an array reaches, beside one of 0."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    value = msgpack.ExtType(2, msgpack.packb(["int8", [0, 2**63], b""]))
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
