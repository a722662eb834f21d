"""NaT stored as a value of a column without nulls: a batch would show a null that is none."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"timestamp": {"tz": None, "unit": "ns"}}
    return build(sample.one(kind, [pack("<q", 0), pack("<q", -(2**63))], Encoding(FIXED), width=8))
