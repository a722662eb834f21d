"""Says where a codec that the user requested for saves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEAST = 1 << 20  # bytes of values below which it does not matter
PLAIN = {"FIXED", "VAR"}


def unsaved(columns: Mapping[str, Mapping[str, Any]], compression: str | Mapping[str, str]) -> list[str]:
    """A sentence for each column that is stored as it is, though a codec was requested for: by name, or for
    all columns where this one has at least half of all bytes. columns: the totals of what was written."""
    total = sum(column["raw_bytes"] for column in columns.values())
    found = []
    for path, column in columns.items():
        name = path.partition(".")[0]
        codec = compression if isinstance(compression, str) else compression.get(name, "auto")
        if codec in ("auto", "none") or not is_plain(column) or column["raw_bytes"] < LEAST:
            continue
        if isinstance(compression, str) and 2 * column["raw_bytes"] < total:
            continue
        found.append(f"column {path!r} is not smaller with compression={codec!r}, and is stored as it is: {column['why']}")
    return found


def is_plain(column: Mapping[str, Any]) -> bool:
    return set(column["codecs"]) <= {"none"} and set(column["layouts"]) <= PLAIN
