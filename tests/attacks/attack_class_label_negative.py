"""Class -1: in Python, names[-1] is the name of the last one."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"class_label": {"names": ["cat", "dog"]}}
    return build(sample.one(kind, [pack("<q", 0), pack("<q", -1)], Encoding(FIXED), width=8))
