"""Offsets that go back: a value of negative length, which as a u32 is 4 GiB."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"aa", b"bb", b"cc"], Encoding(VAR))
    return patched(plan, "content", lambda page: pack("<4I", 0, 4, 2, 6) + page[16:])
