"""Collects the examples that cannot be converted, and reports them all in one error, or as lines
of a report."""

from __future__ import annotations

import re

from atlas_ds.errors import AtlasError, LimitError, SchemaError

_NUMBER = re.compile(r"^example \d+: ")
SHOWN = 10  # in an error; a report lists all
MAX_LINES = 100_000  # kept for a report


def at_place(error: SchemaError | LimitError, place: str, cure: str = "") -> AtlasError:
    """The same error, with the example's place in the source instead of the writer's example
    number."""
    return type(error)(f"{place}: {_NUMBER.sub('', str(error))}{cure}")


class Refusals:
    """The refused examples so far, in order. `lines` has a sentence for each, with place and
    cause. `count` counts examples: a damaged file may lose many at once."""

    def __init__(self) -> None:
        self.first: AtlasError | None = None
        self.lines: list[str] = []
        self.count = self.errors = 0

    def add(self, error: AtlasError, rows: int = 1) -> None:
        self.first = self.first or error
        self.count += rows
        self.errors += 1
        if len(self.lines) < MAX_LINES:
            self.lines.append(str(error) if rows == 1 else f"{error} ({rows:,} examples)")

    def as_error(self, total: int) -> AtlasError:
        """One error for all, of the type of the first, with the option that skips such examples."""
        assert self.first is not None
        cure = "to leave such examples out: --skip-errors, or on_error='skip' in Python"
        if self.errors == 1:
            return type(self.first)(f"{self.lines[0]} ({cure})")
        more = [f"and {self.errors - SHOWN:,} more"] if self.errors > SHOWN else []
        lines = (*self.lines[:SHOWN], *more, f"({cure})")
        error = type(self.first)("\n  ".join((f"{self.count:,} of {total:,} examples cannot be converted:", *lines)))
        error.lines = lines
        return error
