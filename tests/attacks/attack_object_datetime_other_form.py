"""A naive datetime in another form of ISO 8601: the page has one."""

from __future__ import annotations

import msgpack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [msgpack.packb(msgpack.ExtType(1, b"20200102T030405"))], Encoding(VAR)))
