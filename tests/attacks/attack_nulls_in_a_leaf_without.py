"""A page with nulls in a leaf that is not NULLABLE: its reader has no place to say so."""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("bytes", [b"a", None, b"c"], Encoding(VAR))
    return build(plan)
