"""A page that uses dictionary 1 while its leaf has none: a reader of that leaf has not loaded it."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 100], Encoding(VAR, ZSTD), flags=PAGE_CODED, dictionaries=(sample.dictionary(),))
    return patched(plan, "page", setting(dictionary=1))
