"""Codec 3 on a leaf whose pages may be compressed: no feature bit was set, so it is an error and not a newer file."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"a"], Encoding(VAR, ZSTD), flags=PAGE_CODED), "page", setting(codec=3))
