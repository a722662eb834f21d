"""What a reader of one format returns for the files of a table. tables.py makes a source of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from atlas_ds.bridge.source import Example, Refused
from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.schema import MAX_LEAVES


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of several files with the same columns.

    counts: the rows of each file, including refused ones. rows: starts a new pass over the file
    with that number. place: returns where a row of a file is, for errors.
    """

    counts: tuple[int, ...]
    rows: Callable[[int], Iterator[Example | Refused]]
    place: Callable[[int, int], str]
    schema: Mapping[str, object]
    notes: tuple[str, ...] = ()


def one_lacks(lacks: Path, has: Path, name: str, filler: str) -> SchemaError:
    """The error for two files of one table if only one has a column."""
    return SchemaError(
        f"{lacks}: has no column {name!r}, but {has} has; add {filler} to the one, or remove it from the other, or convert them as two datasets"
    )


def check_width(path: Path, count: int) -> None:
    """LimitError for more columns than a dataset can have, before any of them is examined."""
    if count > MAX_LEAVES:
        raise LimitError(f"{path}: {count:,} columns, and a dataset has at most {MAX_LEAVES:,}; put many small values in one array, or split the table")
