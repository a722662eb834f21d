"""The names of classes as one text, which is a list of letters to Python."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"class_label": {"names": "cat"}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"class_label": {"names": "cat"}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
