"""A VAR page that is called NARROW: its first offsets would be read as base, element and stored."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a" * 8], Encoding(VAR)), "page", setting(layout=NARROW))
