"""A null in a NARROW page whose numbers in the cell are not zero."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, PAGE_CODED, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    how = Encoding(NARROW, ZSTD, cells=True, element=2, number=1, together=2)
    plan = sample.one(kind, [pack("<16h", *range(16)), None], how, width=32, flags=PAGE_CODED, nullable=True)
    return patched(plan, "cell", lambda _: b"\0\0\0" + bytes(range(16)) + b"SECR" * 4)
