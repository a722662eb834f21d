"""Names the place of a row, for errors in functions of the user. It reads nothing."""

from __future__ import annotations

import contextlib
from typing import Any

from atlas_ds.text import printable


def place_of(dataset: Any, row: int) -> str:
    """The path and file of a row, after ": "; empty if the dataset does not know it."""
    find = getattr(dataset, "_place_of", None)
    return "" if find is None else f": {find(row)}"


def add_note(error: BaseException, text: str) -> None:
    """Adds a note to an error, once."""
    text = printable(text, keep="\n")
    if text not in getattr(error, "__notes__", ()):
        with contextlib.suppress(AttributeError, TypeError):  # an exception that cannot be changed
            error.add_note(text)
