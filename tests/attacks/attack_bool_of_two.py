"""A bool that is 2: in C it is true, and not equal to true.
Undefined behaviour, stored.
"""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("bool", [b"\0", b"\2"], Encoding(FIXED), width=1))
