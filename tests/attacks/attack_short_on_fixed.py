"""SHORT on a FIXED page without cells: it has no offsets."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("int32", [b"\0\1\2\3"] * 4, Encoding(FIXED), width=4), "page", setting(flags=4))
