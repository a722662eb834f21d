"""An array's extension that announces 2^32 - 1 texts: who allocates first has 32 GiB of pointers.
"""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    value = msgpack.ExtType(2, b"\x93\xa3str\x91\x01\xdd\xff\xff\xff\xff")
    return build(sample.one("object", [msgpack.packb(value)], Encoding(VAR)))
