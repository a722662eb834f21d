"""The writer's notes in a shard: the size of each column, and sums for the ICC. They are informational: reading rows does not need them."""

from __future__ import annotations

import json
from typing import Any

from atlas_ds import _core
from atlas_ds.schema.schema import MAX_LEAVES

MAX_STATS = 64 << 20  # bytes of the writer's notes
MAX_NOTES = 1 << 22  # values in them
MAX_NAMES = 64  # of layouts, or of codecs
MAX_TEXT = 1 << 22  # characters of a path, of a reason, or of the name of a codec


def shard_notes(shard: _core.Shard) -> dict[str, Any]:
    """Returns the writer's notes: "columns", a list of the sizes of each leaf, and "icc", an object. What no writer makes is left out."""
    try:
        data = shard.stats_json
        stats = json.loads(data) if 0 < len(data) <= MAX_STATS and data.count(b",") <= MAX_NOTES else {}
    except (ValueError, RecursionError, MemoryError):
        stats = {}
    columns, icc = (stats.get("columns"), stats.get("icc")) if isinstance(stats, dict) else (None, None)
    leaves = [leaf for leaf in columns[:MAX_LEAVES] if is_leaf_note(leaf)] if isinstance(columns, list) else []
    sums = list(icc.items())[:MAX_LEAVES] if isinstance(icc, dict) else []
    return {"columns": leaves, "icc": {name: item for name, item in sums if is_text(name)}}


def is_leaf_note(leaf: Any) -> bool:
    if not isinstance(leaf, dict) or not is_text(leaf.get("path")) or not is_text(leaf.get("why")):
        return False
    if not all(is_count(leaf.get(name)) for name in ("raw_bytes", "stored_bytes", "cells")):
        return False
    counts = leaf.get("layouts"), leaf.get("codecs")
    return all(isinstance(one, dict) and len(one) <= MAX_NAMES and all(map(is_count, one.values())) and all(map(is_text, one)) for one in counts)


def is_text(value: Any) -> bool:
    """Whether a manifest can hold it."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63
