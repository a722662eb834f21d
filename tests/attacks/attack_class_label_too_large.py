"""The number of a class that has no name: whoever looks its name up reads behind the list."""

from __future__ import annotations

from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"class_label": {"names": ["cat", "dog"]}}
    return build(sample.one(kind, [pack("<q", 0), pack("<q", 2)], Encoding(FIXED), width=8))
