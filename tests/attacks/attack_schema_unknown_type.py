"""A type that 2.0 does not have, without a feature bit."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "UnsupportedError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text.replace(b'"int32"', b'"int33"'))
