"""A class without a name in a struct, in a NARROW page: the numbers of its page are small, their
base is not.
"""

from __future__ import annotations

from dataclasses import replace
from struct import pack

from reference import sample
from reference.builder import Encoding, build
from reference.wire import NARROW

EXPECT = "CorruptError"


def make() -> bytes:
    kind = {"struct": [sample.field("label", {"class_label": {"names": ["cat", "dog"]}}, 0)]}
    kind = {"class_label": {"names": ["cat", "dog"]}}
    plan = sample.one(kind, [pack("<q", 5)] * 2, Encoding(NARROW, element=8, number=1), width=8)
    schema = {"container": "value", "fields": [sample.field("value", kind)]}
    return build(replace(plan, schema=sample.dump(schema)))
