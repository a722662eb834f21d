"""A schema that is not JSON. The length is right, the text is cut."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text[:-1])
