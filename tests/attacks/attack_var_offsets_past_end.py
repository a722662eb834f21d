"""The last offset is beyond the page: the last value would hold what lies behind it in memory."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"aa", b"bb", b"cc"], Encoding(VAR))
    return patched(plan, "content", lambda page: pack("<4I", 0, 2, 4, 60000) + page[16:])
