"""An uncompressed page with more raw bytes than stored: a buffer of raw bytes is filled with fewer."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a"], Encoding(VAR)), "page", setting(raw=4096))
