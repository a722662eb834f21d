"""A timestamp that counts days, which is no unit of the page."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"timestamp": {"tz": None, "unit": "D"}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"timestamp": {"tz": None, "unit": "D"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
