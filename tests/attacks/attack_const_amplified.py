"""One value of a MiB, and 2^20 rows that all have it: a page within every limit that stands for a TiB of values. What a page
makes must be limited, not only what it is.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import CONST

EXPECT = "LimitError"


def make() -> bytes:
    rows, value = 2**20, bytes(2**20)

    plan = sample.one("bytes", [b""] * rows, Encoding(CONST), block=rows)
    return patched(plan, "content", lambda _: value)
