"""Text that comes from data, made safe to show: one line, bounded, without characters that a terminal or a reader would obey. Knows nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CUT = 200


def printable(text: str, limit: int = CUT) -> str:
    """Text with control characters, marks of direction and lone surrogates escaped, cut to `limit` characters."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)


def named(text: str, limit: int = CUT) -> str:
    """Text as printable gives it, in double quotes, to be read by people."""
    return f'"{printable(text, limit)}"'


def quoted(text: str) -> str:
    """A string as Python code, in double quotes where nothing in it has to be escaped."""
    return f'"{text}"' if text.isprintable() and '"' not in text and "\\" not in text else ascii(text)


def closest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names that are most like one that is not among them, whatever the case."""
    by_lower = {other.lower(): other for other in names}
    return [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, count)]
