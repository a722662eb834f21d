"""A MessagePack extension that the format does not have: some decoders would hand it to a hook that runs code."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\xd4\x2a\x00"], Encoding(VAR)))
