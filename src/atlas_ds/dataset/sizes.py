"""Parses sizes: a number of examples, or bytes such as "256MB"."""

from __future__ import annotations

import re

UNITS = {"": 1, "B": 1, "KB": 1 << 10, "KIB": 1 << 10, "MB": 1 << 20, "MIB": 1 << 20, "GB": 1 << 30, "GIB": 1 << 30, "TB": 1 << 40, "TIB": 1 << 40}


def parse_size(size: int | str, name: str, *, least_bytes: int = 1) -> tuple[int | None, int | None]:
    """(rows, bytes): one of them is None. KB, MB, GB are powers of 1024."""
    if not isinstance(size, bool | int | str) and hasattr(size, "__index__"):
        size = size.__index__()  # one of NumPy's
    if isinstance(size, bool) or not isinstance(size, int | str):
        raise TypeError(f"{name} must be a number of examples (int) or bytes (str such as '64KB'), not {size!r}")
    if isinstance(size, int):
        if size < 1:
            raise ValueError(f"{name}={size}: at least one example")
        return size, None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", size)
    if found is None or found[2].upper() not in UNITS:
        raise ValueError(f"{name}={size!r}: write bytes as '64KB', '256MB' or '1GB', or give a number of examples")
    count = int(float(found[1]) * UNITS[found[2].upper()])
    if count < least_bytes:
        raise ValueError(f"{name}={size!r}: at least {least_bytes} bytes")
    return None, count


def as_bytes(size: int | str, name: str) -> int:
    """Returns a number of bytes, from an int or text such as "64MB"."""
    try:
        count, text = parse_size(size, name)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}={size!r}: give bytes, as a number or as text such as '64MB'") from None
    return count if text is None and count is not None else text or 0


def format_bytes(count: float) -> str:
    """1536 -> '1.5 KB'."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(count) < 1024 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
