"""A page layout 6. A later format would have set a feature bit."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a"], Encoding(VAR)), "page", setting(layout=6))
