"""SHORT on a NARROW page whose numbers lie in place: it has no offsets that could be short."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = "int32"
    return patched(sample.one(kind, [b"\0\1\2\3"] * 4, Encoding(NARROW), width=4), "page", setting(flags=4))
