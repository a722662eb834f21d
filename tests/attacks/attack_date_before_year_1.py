"""A day before year 1, which no date of Python's can be."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("date", [pack("<i", 0), pack("<i", -719163)], Encoding(FIXED), width=4))
