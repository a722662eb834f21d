"""A field name that is not UTF-8: names go into error messages, paths and tables."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text.replace(b'"number"', b'"numb\xff"'))
