"""A CONST page of a fixed leaf whose one value has not the leaf's width."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import CONST

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("int32", [b"aaaa"] * 3, Encoding(CONST), width=4), "content", lambda page: page + b"a")
