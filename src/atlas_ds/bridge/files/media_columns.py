"""Reads the files that a column of a table names into a media column. Names are relative to the
table's folder.

If the column has only ids, a pattern makes names of them: images/{id}.jpg.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.source import Example, Refused
from atlas_ds.bridge.values.media import checked_media
from atlas_ds.errors import AtlasError, SchemaError
from atlas_ds.schema.specs import make_field, media, nullable

_PATTERN = re.compile(r"([^{}]*)\{([^{}]+)\}([^{}]*)")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def media_specs(place: Path, schema: Mapping[str, object], wanted: Mapping[str, str]) -> dict[str, object]:
    """The types of the new columns; wanted: new column -> column of names. AtlasError if the
    table has no such columns."""
    specs: dict[str, object] = {}
    for new, pattern in wanted.items():
        before, names, after = split_pattern(pattern, schema)
        if names not in schema:
            raise SchemaError(f"{place}: no column {names!r} for --media {new}={pattern}; its columns are {', '.join(schema)}")
        if new in schema:
            raise SchemaError(f"{place}: --media {new}={names}: the table already has a column {new!r}; choose another name for the new one")
        field = make_field(names, schema[names])
        if str(field.type) != "str" and not ((before or after) and str(field.type) == "int64"):
            raise SchemaError(f"{place}: --media {new}={names}: column {names!r} has the type {field.type}, but file names are text")
        specs[new] = nullable(media()) if field.nullable else media()
    return specs


def split_pattern(text: str, columns: Container[str]) -> tuple[str, str, str]:
    """The text before a column's value, the column, and the text after: of "images/{id}.jpg", or
    of a column's name alone."""
    found = None if text in columns else _PATTERN.fullmatch(text)
    return (found[1], found[2], found[3]) if found else ("", text, "")


class MediaFiles:
    """Finds the files that a table names, never outside `root` unless links are followed."""

    def __init__(self, root: Path, wanted: Mapping[str, str], schema: Container[str], follow_links: bool) -> None:
        self._root, self._follow = os.path.realpath(root), follow_links
        self._wanted = {new: split_pattern(pattern, schema) for new, pattern in wanted.items()}

    def add(self, rows: Iterator[Example | Refused], folder: Path, place: Callable[[int], str]) -> Iterator[Example | Refused]:
        """The rows of a table in that folder with the media columns. A file that cannot be read
        makes its row Refused. place: returns where a row is."""
        for number, row in enumerate(rows):
            if not isinstance(row, Refused):
                try:
                    for new, (before, names, after) in self._wanted.items():
                        name = row[names]
                        row[new] = None if name is None else self._find(folder, f"{before}{name}{after}")
                except AtlasError as error:
                    yield Refused(type(error)(f"{place(number)}: {error}"))
                    continue
            yield row

    def _find(self, folder: Path, name: str) -> Path:
        if _URL.match(name):
            raise SchemaError(f"{name}: a URL; fetch the files first, and write their names relative to the table")
        if "\0" in name or not name.strip():
            raise SchemaError(f"{name!r}: not a file name")
        path = PurePosixPath(name)
        if path.is_absolute() and path.is_relative_to(os.path.abspath(folder)):
            raise SchemaError(f"{name}: an absolute path; names are relative to the table's folder: {path.relative_to(os.path.abspath(folder))}")
        if path.is_absolute() or ".." in path.parts:
            raise SchemaError(f"{name}: not inside the table's folder; names are relative to {folder}, without ..: move the table or its files")
        found = folder / path
        real = os.path.realpath(found)
        if not self._follow and os.path.commonpath((self._root, real)) != self._root:
            raise SchemaError(f"{found}: a link out of {self._root}; to read it anyway: --follow-links, or follow_links=True")
        if "\\" in name and not os.path.lexists(found):
            raise SchemaError(f"{found}: no such file; write the names with / between folders, not with \\")
        return checked_media(found)
