"""Makes text that comes from data safe to show: characters that control a terminal or are invisible become escapes.

Not a serializer: an escaped character looks the same as a text that contained the escape.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice

MAX_NAME = 200  # characters of a name that is shown
SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"  # not printable according to Unicode, but harmless


def printable(text: object, limit: int | None = None, keep: str = "") -> str:
    """The text with control, format, bidirectional and zero-width characters, line separators, lone surrogates and unassigned
    characters as \\uXXXX. limit: truncate to this many characters. keep: characters to leave as they are, such as "\\n"."""
    given = str(text)
    if limit is not None and len(given) > limit:
        given = given[: limit - 3] + "..."
    if given.isprintable():
        return given
    return "".join(char if char.isprintable() or char in keep or char in SPACES else escaped(char) for char in given)


def named(text: str, limit: int = MAX_NAME) -> str:
    """Printable text in double quotes, for people."""
    return f'"{printable(text, limit)}"'


def quoted(text: str) -> str:
    """A string as Python source, in double quotes if nothing has to be escaped."""
    return f'"{text}"' if text.isprintable() and '"' not in text and "\\" not in text else ascii(text)


def listed(names: Collection[str], most: int = 40) -> str:
    """Names that come from data, for an error message: the first ones, and their number."""
    shown = ", ".join(printable(name, MAX_NAME) for name in islice(names, most))
    return (shown or "none") if len(names) <= most else f"{shown}, ... ({len(names):,} in all)"


def count(number: int, noun: str) -> str:
    """A number and a noun: 1 row, 2,000 rows."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def closest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names most similar to `name`, ignoring case."""
    by_lower = {other.lower(): other for other in names}
    return [by_lower[found] for found in difflib.get_close_matches(name.lower(), by_lower, count)]


def encodable(text: str, encoding: str | None) -> str:
    """The text with characters that the encoding lacks as \\uXXXX."""
    if text.isascii() or encoding is None:
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(char if can_encode(char, encoding) else escaped(char) for char in text)
    return text


def can_encode(char: str, encoding: str) -> bool:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def escaped(char: str) -> str:
    """The JSON escape of a character (two for one beyond 0xFFFF), so that escaped JSON stays valid JSON."""
    number = ord(char)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
