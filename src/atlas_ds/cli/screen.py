"""Output of the commands. Text from data cannot control the terminal; what it cannot encode is not an error.

Line feeds are printed, because the commands print lines: names within a line must go through printable() first.
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
    """A text stream that passes only printable text on to another stream."""

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
    """Makes standard output a Screen, and prints each warning as one line."""
    before = warnings.formatwarning
    with contextlib.redirect_stdout(Screen(sys.stdout)):
        warnings.formatwarning = lambda message, *place: f"atlas-ds: warning: {printable(message)}\n"
        try:
            yield
        finally:
            warnings.formatwarning = before


def complain(message: str, lines: Sequence[str] = ()) -> None:
    """Prints an error on standard error. Further lines are indented, so that a name cannot look like a line."""
    text = "\n  ".join(printable(line) for line in (f"atlas-ds: error: {message}", *lines))
    sys.stderr.write(encodable(f"{text}\n", sys.stderr.encoding))
