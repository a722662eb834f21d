"""One leaf more than there are: the group table would be read as a leaf, and the schema as groups."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schm_layout", lambda layout: layout | {"leaf_count": layout["leaf_count"] + 1})
