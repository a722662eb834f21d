"""A time zone that is a number: of hours, or of minutes?"""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"timestamp": {"tz": 2, "unit": "s"}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"timestamp": {"tz": 2, "unit": "s"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
