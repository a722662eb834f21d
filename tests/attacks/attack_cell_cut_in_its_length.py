"""A cell of five bytes in the form whose length takes seven: its u32 would be read from the next cell."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import LZ4, VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a" * 100, b"b" * 100], Encoding(VAR, LZ4, cells=True))
    return patched(plan, "cell", lambda _: b"\0\0\1\x64\0", (0, 0, 0, 0))
