"""Two MessagePack values where one belongs.
The second would never be seen.
"""

from __future__ import annotations

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return build(sample.one("object", [b"\xc0\xc0"], Encoding(VAR)))
