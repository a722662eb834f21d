"""A map within a list whose value is a moment of year 292 billion: no datetime reaches it."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\x81\xa1a\xc7\x0c\xff" + pack(">Iq", 0, 2**62)], Encoding(VAR)))
