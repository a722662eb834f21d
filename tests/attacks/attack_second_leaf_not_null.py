"""A null sound with a media type that is not null: the leaves of one field disagree on whether it is there."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import build

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.rich()
    return build(replace(plan, columns=plan.columns | {5: [b"audio/flac"] * len(plan.columns[5])}))
