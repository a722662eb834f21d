"""A class label without a class: no number is one."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"class_label": {"names": []}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"class_label": {"names": []}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
