"""How far a long task is, on stderr: a line that is drawn again in a terminal or a notebook, lines now and then in a log. Short tasks print nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType
from typing import NamedTuple

from atlas_ds.text import printable


class Way(NamedTuple):
    """How lines are shown. again: the line before is overwritten; erase: what takes away the rest of it, by spaces where that is empty."""

    first: float  # seconds before anything is shown
    every: float
    again: bool
    erase: str = ""


TERMINAL = Way(0.5, 0.1, True, "\x1b[K")
NOTEBOOK = Way(0.5, 0.5, True)  # which knows "\r", but no escape codes
LOG = Way(5.0, 30.0, False)
NOTEBOOKS = ("ZMQInteractiveShell", "Shell")  # of Jupyter, and of Colab


class Progress:
    """Counts `unit`s towards `total` (None: unknown) and shows rate and time left while it is entered."""

    __slots__ = ("_done", "_label", "_next", "_shown", "_start", "_total", "_unit", "_way")

    def __init__(self, total: int | None, label: str, unit: str = "rows", enabled: bool = True) -> None:
        self._total, self._label, self._unit = total, printable(label), unit
        self._way = way_of_stderr() if enabled else None
        self._done, self._shown = 0, 0  # shown: characters of the line that stands
        self._begin()

    def _begin(self) -> None:
        self._start = time.monotonic()
        self._next = self._start + self._way.first if self._way is not None else float("inf")

    def __enter__(self) -> Progress:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._way is None or not self._shown:
            return
        seconds = time.monotonic() - self._start
        if self._way.again:
            write("\r" + (self._way.erase or " " * self._shown + "\r"))
        else:
            ended = "done" if error is None else f"stopped by {type(error).__name__}"
            write(f"{self._label}  {ended}: {self._done:,} {self._unit} in {duration(seconds)}\n")

    def advance(self, n: int = 1) -> None:
        """Counts `n` more as done."""
        self._done += n
        if self._way is not None:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + self._way.every
                self._show(self._way, self._line(now - self._start))

    def _show(self, way: Way, line: str) -> None:
        if not way.again:
            write(line + "\n")
        else:
            line = line[: width() - 1]  # a line that wraps would scroll
            write("\r" + line + (way.erase or " " * (self._shown - len(line))))
        self._shown = len(line)

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds if seconds > 0 else 0.0
        text = f"{self._label}  {self._done:,}"
        if self._total:
            text += f" of {self._total:,} {self._unit} ({100 * self._done / self._total:.0f}%)"
        else:
            text += f" {self._unit}"
        text += f"  {rate:,.0f} {self._unit}/s"
        if self._total and rate > 0:
            text += f"  {duration(max(0, self._total - self._done) / rate)} left"
        return text


def width() -> int:
    """Characters of a line of stderr; 80 where nobody says."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        columns = shutil.get_terminal_size().columns
    return columns if columns > 1 else 80


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are some."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def way_of_stderr() -> Way | None:
    """What stderr is. None where there is none."""
    stream = sys.stderr
    if stream is None or getattr(stream, "closed", False):
        return None
    if in_notebook():
        return NOTEBOOK
    return TERMINAL if stream.isatty() else LOG


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook: its stderr is not a terminal, but shows each line as it is overwritten."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ in NOTEBOOKS


def write(text: str) -> None:
    """To stderr. A task does not fail because nobody can be told how far it is."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # a pipe that nobody reads any more, or a stream that was closed
        return
