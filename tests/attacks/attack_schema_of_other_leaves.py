"""The schema says int64 where the leaf is 4 bytes wide: values would be read beyond their end."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text.replace(b'"int32"', b'"int64"'))
