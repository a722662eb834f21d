"""An object that is nothing but a moment with a nanosecond, which a datetime would drop."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\xd7\xff" + pack(">Q", 1 << 34 | 1000)], Encoding(VAR)))
