"""Text that comes from data, made fit for a terminal: what would steer the screen, or cannot be seen, is written as an escape.

Not a serializer: what is escaped cannot be told from a text that held the escape.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"  # not printable by Unicode, and harmless


def printable(text: object, keep: str = "") -> str:
    """The text with control, format, bidirectional and zero-width characters, line separators, lone surrogates and unassigned characters as
    \\uXXXX. keep: characters that stay as they are, such as a line feed."""
    given = str(text)
    if given.isprintable():
        return given
    return "".join(char if char.isprintable() or char in keep or char in SPACES else escaped(char) for char in given)


def encodable(text: str, encoding: str | None) -> str:
    """The text with what an encoding lacks as \\uXXXX."""
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
    """As JSON writes it, so that JSON stays JSON: a character beyond 0xFFFF is a pair."""
    number = ord(char)
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


def listed(names: Collection[str], most: int = 40) -> str:
    """Names that come from data, for an error's text: the first ones, and how many there are."""
    shown = ", ".join(printable(name if len(name) <= 200 else f"{name[:200]}...") for name in islice(names, most))
    return (shown or "none") if len(names) <= most else f"{shown}, ... ({len(names):,} in all)"
