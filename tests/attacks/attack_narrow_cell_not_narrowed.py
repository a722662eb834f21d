"""A cell of a NARROW page that yields the value as it is, not narrowed: widened, it would be twice
as long as the row.
"""

from __future__ import annotations

from struct import pack

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW, ZSTD

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"array": {"dtype": "int16", "shape": [16]}}
    plan = sample.one(kind, [pack("<16h", *range(16))] * 2, Encoding(NARROW, ZSTD, cells=True, element=2, number=1), width=32)
    return patched(plan, "cell", lambda cell: b"\0\0\0" + pack("<16h", *range(16)), (0, 0, 0, 1))
