"""An array of two dimensions that is to be returned as a list."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"array": {"dtype": "int8", "shape": [2, 2]}}, [bytes(4)], Encoding(FIXED), width=4)
    schema = {"container": "value", "fields": [sample.field("value", {"array": {"dtype": "int8", "shape": [2, 2]}}, 0, list=True)]}
    return build(replace(plan, schema=sample.dump(schema)))
