"""A tensor of two dimensions that is to be returned as a list."""

from __future__ import annotations

from dataclasses import replace

from reference import sample
from reference.builder import build

EXPECT = "CorruptError"


def make() -> bytes:
    fields = sample.RICH_SCHEMA["fields"]
    changed = [field | {"list": True} if field["name"] == "pixels" else field for field in fields]
    return build(replace(sample.rich(), schema=sample.dump({"container": "dict", "fields": changed})))
