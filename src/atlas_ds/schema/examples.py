"""Examples as users give and get them: dataclass instances as dicts, tuples with other values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from atlas_ds.errors import SchemaError
from atlas_ds.schema.describe import describe


def as_dict(example: Any, schema: Any) -> dict[str, Any]:
    """A dataclass instance as a dict of its fields (not deep)."""
    if dataclasses.is_dataclass(example) and not isinstance(example, type):
        return {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    raise SchemaError(f"expected a {schema.container} with {', '.join(schema.names)}, got {describe(example)}")


def like(given: tuple[Any, ...], values: Iterable[Any]) -> Any:
    """A tuple of other values; a namedtuple stays one."""
    return type(given)(*values) if hasattr(given, "_fields") else tuple(values)
