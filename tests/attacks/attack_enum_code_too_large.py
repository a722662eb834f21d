"""A code equal to count: one past the table.
With 16-bit codes it could be up to 65535 past it.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import ENUM

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("str", [b"a", b"b", b"a"], Encoding(ENUM))
    return patched(plan, "content", lambda page: page[:9] + b"\2" + page[10:])
