"""A fixed leaf 4 GiB - 1 wide, which its schema agrees with: rows times width wraps in 32 bits, and
one CONST page fills the memory.
"""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import FIXED

EXPECT = "LimitError"


def make() -> bytes:
    kind = {"array": {"dtype": "int8", "shape": [2**32 - 1]}}
    plan = sample.one(kind, [b"a"], Encoding(FIXED), width=1)
    return patched(plan, "leaf", setting(width=2**32 - 1))
