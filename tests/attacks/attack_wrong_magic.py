"""The first byte is 09: a transport that strips the eighth bit. The copy of the header in the footer is good, so a reader that
never looks at the beginning would not notice.
"""

from __future__ import annotations

from reference.builder import reseal

EXPECT = "CorruptError"


def make(shard: bytes) -> bytes:
    return reseal(b"\x09" + shard[1:])
