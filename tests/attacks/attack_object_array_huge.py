"""A MessagePack array that announces 2^32 - 1 elements in five bytes: who allocates first has 32 GiB of pointers."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\xdd\xff\xff\xff\xff"], Encoding(VAR)))
