"""Says which columns are not compressed, though the user requested a codec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atlas_ds.schema.batches import walk
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import Media, walk_leaves
from atlas_ds.shard.coding import TOO_SHORT

LEAST = 1 << 20  # bytes of values below which it does not matter
PLAIN = {"FIXED", "VAR"}


def unsaved(schema: Schema, columns: Mapping[str, Mapping[str, Any]], compression: str | Mapping[str, str]) -> list[str]:
    """A sentence for each column that is stored as it is, though a codec was requested for: by name, or for all columns where this
    one has at least half of all bytes and is not media, which are compressed already. columns: the totals of what was written."""
    total = sum(column["raw_bytes"] for column in columns.values())
    media = {path for path, field in walk(schema.fields) if isinstance(field.type, Media)}
    found = []
    for name, path in ((field.name, leaf.path) for field in schema.fields for leaf in walk_leaves((field,))):
        codec = compression if isinstance(compression, str) else compression.get(name, "auto")
        column = columns.get(path)
        if column is None or codec in ("auto", "none") or not is_plain(column) or column["raw_bytes"] < LEAST:
            continue
        if isinstance(compression, str) and (path in media or 2 * column["raw_bytes"] < total):
            continue
        cure = '; access="scan" compresses them page by page' if TOO_SHORT in column["why"] else ""
        found.append(f"column {path!r} is not compressed, though compression={codec!r} was requested: {column['why']}{cure}")
    return found


def is_plain(column: Mapping[str, Any]) -> bool:
    return set(column["codecs"]) <= {"none"} and set(column["layouts"]) <= PLAIN
