"""A null in a NARROW page that has a cell: what was to be forgotten is still there."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16)), None], Encoding(NARROW, ZSTD, cells=True, element=2, number=1), width=32, nullable=True)
    return patched(plan, "content", lambda page: page[:24] + pack("<I", len(page) - 80 + 19) + page[28:] + b"\0\0\0" + b"SECR" * 4)
