"""A NARROW page with fewer numbers than rows.
They would be read from behind the page.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("int32", [b"\0\1\2\3"] * 4, Encoding(NARROW), width=4), "content", lambda page: page[:-2])
