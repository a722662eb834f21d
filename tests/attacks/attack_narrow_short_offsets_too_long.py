"""SHORT on a NARROW page of lists with u32 offsets: read as u16, they do not ascend."""

from __future__ import annotations

from struct import pack

from attacks.craft import patched, setting
from reference import sample
from reference.builder import Encoding
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"tensor": {"dtype": "int64", "ndim": 1}}
    plan = sample.one(kind, [pack("<2q", 7, 8)] * 3, Encoding(NARROW, element=8, number=1))
    return patched(plan, "page", setting(flags=4))
