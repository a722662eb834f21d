"""The schema names leaf 999, which is not in the leaf table.
Looking it up must not fail in the reader.
"""

from __future__ import annotations

from attacks.craft import patched
from reference import sample

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.rich(), "schema", lambda text: text.replace(b"[300]", b"[999]"))
