"""Examples that cannot be converted: collected, and told all at once as one error, or as lines of a report."""

from __future__ import annotations

from atlas_ds.errors import AtlasError

SHOWN = 10  # in an error; a report has them all
MOST = 100_000  # lines kept of a report


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
        if self.errors == 1:
            text = self.lines[0]
        else:
            more = f"\n  and {self.errors - SHOWN:,} more" if self.errors > SHOWN else ""
            lines = "".join(f"\n  {number}. {line}" for number, line in enumerate(self.lines[:SHOWN], 1))
            text = f"{self.count:,} of {total:,} examples cannot be converted:{lines}{more}\n "
        return type(self.first)(f"{text} (to leave such examples out: --skip-errors, or on_error='skip' in Python)")
