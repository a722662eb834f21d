"""Brackets in brackets, 100,000 deep: a recursive parser runs out of stack before it finds that this is no schema."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "LimitError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda _: b"[" * 100_000 + b"]" * 100_000)
