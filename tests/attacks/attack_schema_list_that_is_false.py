"""A member `list` that is false: it is true or absent, so that a schema has one form."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"array": {"dtype": "int8", "shape": [2]}}, [bytes(2)], Encoding(FIXED), width=2)
    schema = {"container": "value", "fields": [sample.field("value", {"array": {"dtype": "int8", "shape": [2]}}, 0, list=False)]}
    return build(replace(plan, schema=sample.dump(schema)))
