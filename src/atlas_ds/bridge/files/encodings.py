"""Detects the encoding of a text file: by its byte order mark, by the zero bytes of UTF-16, or
as given. It reads only the first bytes."""

from __future__ import annotations

import codecs
import difflib
from encodings.aliases import aliases
from pathlib import Path

from atlas_ds.bridge.opening import open_binary
from atlas_ds.bridge.source import ReadOptions
from atlas_ds.errors import AtlasError

HEAD = 512
_MARKS = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
UTF8 = "utf-8-sig"  # also removes a byte order mark
_NOT_FOR_FILES = frozenset(("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"))


def find_encoding(head: bytes) -> str:
    """The encoding of a text that begins with these bytes: by its mark; UTF-16 without a mark by
    its zero bytes; else UTF-8."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    zeros = [head[start::2].count(0) for start in (0, 1)]
    if 0 in zeros and (sum(zeros) * 4 >= len(head) > 1 or (sum(zeros) > 3 and sum(zeros) * 10 >= len(head))):
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return UTF8


def text_encoding(path: Path, options: ReadOptions) -> str:
    """The encoding to read a file with: the given one, or the one detected from its first bytes."""
    if options.encoding is not None:
        return known_encoding(options.encoding, path)
    with open_binary(path, options.max_expansion) as file:
        return find_encoding(file.read(HEAD))


def known_encoding(name: str, path: Path) -> str:
    """Python's name of the encoding of the file `path`. AtlasError for an encoding that Python
    does not know."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):  # ValueError: a zero byte in the name
        close = difflib.get_close_matches(str(name).lower().replace("-", "_"), sorted({*aliases, *aliases.values()}), 1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise AtlasError(f"{path}: encoding {name!r}: no such encoding{hint} Usual ones are utf-8, utf-16, latin1, cp1252, shift_jis, gb18030") from None
    if found.name in _NOT_FOR_FILES or not found._is_text_encoding:
        raise AtlasError(f"{path}: encoding {name!r}: not an encoding of text files; usual ones are utf-8, utf-16, latin1, cp1252, shift_jis, gb18030")
    return {"utf-8": UTF8}.get(found.name, found.name)
