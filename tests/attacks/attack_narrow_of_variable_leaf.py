"""A page layout for fixed leaves in a variable one, where the width is 0."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a"], Encoding(VAR)), "page", setting(layout=NARROW))
