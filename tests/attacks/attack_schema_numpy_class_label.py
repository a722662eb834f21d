"""A class label that is to be returned as a NumPy scalar, which only numbers and times are."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"class_label": {"names": ["a"]}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"class_label": {"names": ["a"]}}, 0, numpy=True)]}
    return build(replace(plan, schema=sample.dump(schema)))
