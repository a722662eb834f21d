"""A page flag that 2.0 does not have: ignoring it would be a guess about what the bytes are."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a"], Encoding(VAR)), "page", setting(flags=8))
