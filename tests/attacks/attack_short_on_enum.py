"""SHORT on an ENUM page: two readers would disagree on the size of its offsets."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM, SHORT

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("str", [b"a", b"b"], Encoding(ENUM)), "page", setting(flags=SHORT))
