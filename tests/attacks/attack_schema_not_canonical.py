"""A schema with a space in it. There is one way to write a schema, so equal schemas have equal bytes."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text.replace(b",", b", ", 1))
