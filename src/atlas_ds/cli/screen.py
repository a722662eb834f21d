"""Where the commands' output leaves the program: nothing that comes from data steers a terminal, and no encoding of the terminal is an error.

A line feed passes, for the commands print lines: names of data that stand within a line go through printable() before.
"""

from __future__ import annotations

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import TextIO

from atlas_ds.text import encodable, printable


class Screen(io.TextIOBase):
    """A text stream over another, which gets what is fit to print there."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.write(encodable(printable(text, keep="\n"), self.encoding))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str | None:  # type: ignore[override]
        return getattr(self._stream, "encoding", None)


@contextlib.contextmanager
def on_screen() -> Iterator[None]:
    """Standard output is a Screen, and warnings are one line each."""
    before = warnings.formatwarning
    with contextlib.redirect_stdout(Screen(sys.stdout)):
        warnings.formatwarning = lambda message, *place: f"atlas-ds: warning: {printable(message)}\n"
        try:
            yield
        finally:
            warnings.formatwarning = before


def complain(message: str, lines: Sequence[str] = ()) -> None:
    """A line on standard error, and others below it, indented, so that no name in them looks like a line of its own."""
    text = "\n  ".join(printable(line) for line in (f"atlas-ds: error: {message}", *lines))
    sys.stderr.write(encodable(f"{text}\n", sys.stderr.encoding))
