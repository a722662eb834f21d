"""A VAR page shorter than its own offsets.
The reader must compare before it reads them.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"aa"] * 8, Encoding(VAR)), "content", lambda page: page[:20])
