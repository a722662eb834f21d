"""The first offset is 2: two bytes that belong to no value."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"aa", b"bb", b"cc"], Encoding(VAR))
    return patched(plan, "content", lambda page: pack("<4I", 2, 2, 4, 6) + page[16:])
