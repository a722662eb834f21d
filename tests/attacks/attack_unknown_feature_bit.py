"""An incompat bit that 2.0 does not define: the reader cannot know what it changes, so it reads nothing."""

from __future__ import annotations

from attacks.craft import patched, setting
from reference import sample

EXPECT = "UnsupportedError"


def make() -> bytes:
    return patched(sample.rich(), "header", setting(incompat=1 << 17))
