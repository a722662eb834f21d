"""256 dictionaries, each of them good: a u8 cannot name the last."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "LimitError"


def make() -> bytes:
    plan = sample.one("int8", [b"a"], Encoding(FIXED), width=1, dictionaries=(b"x",) * 256)
    return build(plan)
