"""A cell of three zero bytes, which mean the value as it is, and then nothing: a second way to write an empty value."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"", b"a" * 100], Encoding(VAR, LZ4, cells=True))
    return patched(plan, "cell", lambda _: b"\0\0\0", (0, 0, 0, 0))
