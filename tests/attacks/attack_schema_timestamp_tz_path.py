"""A time zone that is a path out of the folder of time zones."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"timestamp": {"tz": "../../../etc/passwd", "unit": "s"}}
    plan = sample.one(kind, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"timestamp": {"tz": "../../../etc/passwd", "unit": "s"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
