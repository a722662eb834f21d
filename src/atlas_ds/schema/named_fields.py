"""Dataclasses and named tuples inside an example: they are stored as dicts, and read as dicts."""

from __future__ import annotations

import dataclasses
from typing import Any

from atlas_ds.schema.media import Media


def as_dict(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass's instance or of a named tuple; None for anything else, Media among it."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Media):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None
