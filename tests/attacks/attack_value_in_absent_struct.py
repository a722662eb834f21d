"""A field that has a value where its struct is absent: whether it is seen depends on the reader."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import build

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.rich()
    cells = [b"left over" if cell == b"" else cell for cell in plan.columns[17]]
    return build(replace(plan, columns=plan.columns | {17: cells}))
