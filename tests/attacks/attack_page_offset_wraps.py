"""offset + stored is small modulo 2^32: a check of the sum in 32 bits passes, and the read goes 4 GiB away."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "page", setting(offset=2**32 - 256, stored=512, raw=512), (1, 0, 3))
