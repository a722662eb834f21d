"""An offset of 99 hours: no clock is so far from UTC."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"timestamp": {"tz": "+99:00", "unit": "s"}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"timestamp": {"tz": "+99:00", "unit": "s"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
