"""Progress of long tasks on stderr: a line that is redrawn in a terminal or notebook, occasional lines in a log. Short tasks
print nothing."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType
from typing import NamedTuple

from atlas_ds.text import printable


class Style(NamedTuple):
    """How lines are shown. redraw: each line overwrites the previous one; erase: the code that clears the rest of the previous
    line, or empty to use spaces."""

    first: float  # seconds before the first line
    every: float
    redraw: bool
    erase: str = ""


TERMINAL = Style(0.5, 0.1, True, "\x1b[K")
NOTEBOOK = Style(0.5, 0.5, True)  # understands "\r" but no escape codes
LOG = Style(5.0, 30.0, False)
NOTEBOOKS = ("ZMQInteractiveShell", "Shell")  # of Jupyter, and of Colab


class Progress:
    """Counts `unit`s towards `total` (None: unknown) and shows rate and time left inside its `with` block."""

    __slots__ = ("_done", "_label", "_next", "_shown", "_start", "_style", "_total", "_unit")

    def __init__(self, total: int | None, label: str, unit: str = "rows", enabled: bool = True) -> None:
        self._total, self._label, self._unit = total, printable(label), unit
        self._style = style_of_stderr() if enabled else None
        self._done, self._shown = 0, 0  # shown: characters of the current line
        self._begin()

    def _begin(self) -> None:
        self._start = time.monotonic()
        self._next = self._start + self._style.first if self._style is not None else float("inf")

    def __enter__(self) -> Progress:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._style is None or not self._shown:
            return
        seconds = time.monotonic() - self._start
        if self._style.redraw:
            write("\r" + (self._style.erase or " " * self._shown + "\r"))
        else:
            ended = "done" if error is None else f"stopped by {type(error).__name__}"
            write(f"{self._label}  {ended}: {self._done:,} {self._unit} in {duration(seconds)}\n")

    def advance(self, n: int = 1) -> None:
        """Adds `n` to the count."""
        self._done += n
        if self._style is not None:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + self._style.every
                self._show(self._style, self._line(now - self._start))

    def _show(self, style: Style, line: str) -> None:
        if not style.redraw:
            write(line + "\n")
        else:
            line = line[: width() - 1]  # a line that wraps would scroll
            write("\r" + line + (style.erase or " " * (self._shown - len(line))))
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
    """Width of stderr in characters; 80 if unknown."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (AttributeError, OSError, ValueError):
        columns = shutil.get_terminal_size().columns
    return columns if columns > 1 else 80


def duration(seconds: float) -> str:
    """m:ss, or h:mm:ss from one hour on."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def style_of_stderr() -> Style | None:
    """The style that suits stderr; None if there is no stderr."""
    stream = sys.stderr
    if stream is None or getattr(stream, "closed", False):
        return None
    if in_notebook():
        return NOTEBOOK
    return TERMINAL if stream.isatty() else LOG


def in_notebook() -> bool:
    """Whether this is a notebook kernel: its stderr is not a terminal but handles overwritten lines."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ in NOTEBOOKS


def write(text: str) -> None:
    """Writes to stderr. A task must not fail because its progress cannot be shown."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):  # a pipe without a reader, or a closed stream
        return
