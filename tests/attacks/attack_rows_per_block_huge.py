"""2^32 - 1 rows in a block: rows + 1 offsets is no u32 any more."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "LimitError"


def make() -> bytes:
    return patched(sample.one("str", [b"a"], Encoding(VAR)), "group", setting(rows_per_block=2**32 - 1))
