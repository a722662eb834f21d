"""Text that is to be returned as a list: of what?"""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import Encoding, build
from reference.wire import VAR

EXPECT = "CorruptError"


def make() -> bytes:
    plan = sample.one("str", [b"abc"], Encoding(VAR))
    schema = {"container": "value", "fields": [sample.field("value", "str", 0, list=True)]}
    return build(replace(plan, schema=sample.dump(schema)))
