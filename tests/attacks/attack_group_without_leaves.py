"""A group that no leaf belongs to: it would have blocks of no pages."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("int8", [b"a"], Encoding(FIXED), width=1)
    return build(replace(plan, groups=(8, 8)))
