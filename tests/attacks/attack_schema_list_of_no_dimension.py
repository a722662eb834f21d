"""An array of no dimension that is to be returned as a list."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"array": {"dtype": "int8", "shape": []}}, [bytes(1)], Encoding(FIXED), width=1)
    schema = {"container": "value", "fields": [sample.field("value", {"array": {"dtype": "int8", "shape": []}}, 0, list=True)]}
    return build(replace(plan, schema=sample.dump(schema)))
