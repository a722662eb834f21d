"""A schema that is JSON, and a list.
Every member that is looked up must be checked to be there, and of its kind.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda _: b"[]")
