"""Codes of three bytes, which no layout has.
A reader that only asks "is it 1?" would read them as two.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("str", [b"a", b"b"], Encoding(ENUM))
    return patched(plan, "content", lambda page: pack("<II", 2, 3) + page[8:])
