"""A page that names dictionary 200 of 1: an index taken from a page, into a table of the footer."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import PAGE_CODED, VAR, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 100], Encoding(VAR, ZSTD, dictionary=True), flags=PAGE_CODED, leaf_dictionary=1,
                      dictionaries=(sample.dictionary(),))
    return patched(plan, "page", setting(dictionary=200))
