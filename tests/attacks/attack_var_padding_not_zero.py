"""Bytes hidden between the offsets and the data of a VAR page, under the page's hash."""

from __future__ import annotations

from attacks.craft import patched
from reference import sample
from reference.builder import Encoding
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    return patched(sample.one("bytes", [b"aa"], Encoding(VAR)), "content", lambda page: page[:40] + b"!" + page[41:])
