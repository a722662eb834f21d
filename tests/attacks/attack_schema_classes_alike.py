"""Two classes of one name: the name no longer says which."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import FIXED

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one({"class_label": {"names": ["cat", "dog", "cat"]}}, [bytes(8)], Encoding(FIXED), width=8)
    schema = {"container": "value", "fields": [sample.field("value", {"class_label": {"names": ["cat", "dog", "cat"]}}, 0)]}
    return build(replace(plan, schema=sample.dump(schema)))
