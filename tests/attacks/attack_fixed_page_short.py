"""A FIXED page one byte shorter than rows times width.
The length must be exact, in both directions.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("int32", [b"aaaa"] * 3, Encoding(FIXED), width=4), "content", lambda page: page[:-1])
