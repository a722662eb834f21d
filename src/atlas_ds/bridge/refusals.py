"""Examples that cannot be converted: collected, and told all at once as one error, or as lines of a report."""

from __future__ import annotations

import re

from atlas_ds.errors import AtlasError, LimitError, SchemaError

_NUMBER = re.compile(r"^example \d+: ")
SHOWN = 10  # in an error; a report has them all
MOST = 100_000  # lines kept of a report


def at_place(error: SchemaError | LimitError, place: str, cure: str = "") -> AtlasError:
    """The same error, with where the example comes from instead of the writer's number of it."""
    return type(error)(f"{place}: {_NUMBER.sub('', str(error))}{cure}")


class Refusals:
    """What was refused so far, in order. `lines` has a sentence for each, with its place and cause; `count` counts examples, of which a damaged file
    may have many."""

    def __init__(self) -> None:
        self.first: AtlasError | None = None
        self.lines: list[str] = []
        self.count = self.errors = 0

    def add(self, error: AtlasError, rows: int = 1) -> None:
        self.first = self.first or error
        self.count += rows
        self.errors += 1
        if len(self.lines) < MOST:
            self.lines.append(str(error) if rows == 1 else f"{error} ({rows:,} examples)")

    def as_error(self, total: int) -> AtlasError:
        """One error for all of them, of the first one's type; with what leaves them out."""
        assert self.first is not None
        cure = "to leave such examples out: --skip-errors, or on_error='skip' in Python"
        if self.errors == 1:
            return type(self.first)(f"{self.lines[0]} ({cure})")
        more = [f"and {self.errors - SHOWN:,} more"] if self.errors > SHOWN else []
        lines = (*self.lines[:SHOWN], *more, f"({cure})")
        error = type(self.first)("\n  ".join((f"{self.count:,} of {total:,} examples cannot be converted:", *lines)))
        error.lines = lines
        return error
