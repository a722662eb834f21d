"""An array's extension that holds lists nested 100,000 deep: a reader that follows them runs out of
stack.
"""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "LimitError"
OR = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, b"\x91" * 100_000 + b"\xc0")
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
