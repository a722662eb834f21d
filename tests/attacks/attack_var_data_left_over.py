"""The last offset is before the end of the page: bytes after the last value."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"aa"], Encoding(VAR)), "content", lambda page: page + b"more")
