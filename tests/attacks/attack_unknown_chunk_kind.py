"""A chunk whose kind begins with a capital: it must be understood, and is not."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import reseal
from reference.wire import CHUNK

EXPECT = "UnsupportedError"


def make() -> bytes:
    chunk = CHUNK.pack(kind=b"XTRA", body_bytes=32, head_bytes=32) + bytes(32)
    return reseal(patched(sample.rich(), "whole", lambda _: chunk, (b"DATA", 0, 1)))
