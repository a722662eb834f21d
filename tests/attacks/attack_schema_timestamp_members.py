"""A timestamp without its time zone: null says that there is none, absence says nothing."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"timestamp": {"unit": "s"}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"timestamp": {"unit": "s"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
