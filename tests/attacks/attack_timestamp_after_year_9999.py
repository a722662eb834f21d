"""A moment after year 9999 in ms, which no datetime of Python's can be."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"timestamp": {"tz": "UTC", "unit": "ms"}}
    return build(sample.one(kind, [pack("<q", 0), pack("<q", 253402300800000)], Encoding(FIXED), width=8))
