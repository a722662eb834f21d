"""The dictionary table names another dictionary than is there: values would decode to something else, without any error."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "dictionary", setting(digest=bytes(16)))
