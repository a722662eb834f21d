"""Where a row lies, for errors in the functions that users give. Nothing here reads."""

from __future__ import annotations

import contextlib
from typing import Any

from atlas_ds.printable import printable


def place_of(dataset: Any, row: int) -> str:
    """The path and file of a row, after ": "; nothing where the dataset does not say."""
    find = getattr(dataset, "_place_of", None)
    return "" if find is None else f": {find(row)}"


def add_note(error: BaseException, text: str) -> None:
    """A line below the error, once; the error stays what it is."""
    text = printable(text, keep="\n")
    if text not in getattr(error, "__notes__", ()):
        with contextlib.suppress(AttributeError, TypeError):  # an exception that cannot be changed
            error.add_note(text)
