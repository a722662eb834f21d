"""One line on stderr that says how far a long task is. Not a logger; silent where nobody watches a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from atlas_ds.printable import printable

REDRAW_SECONDS = 0.1


class Progress:
    """Counts `unit`s towards `total` (None: unknown) and shows rate and time left while it is entered."""

    __slots__ = ("_done", "_drawn", "_enabled", "_label", "_start", "_total", "_unit")

    def __init__(self, total: int | None, label: str, unit: str = "rows", enabled: bool = True) -> None:
        self._total, self._label, self._unit = total, label, unit
        self._enabled = enabled and sys.stderr is not None and sys.stderr.isatty()
        self._done, self._start, self._drawn = 0, time.monotonic(), 0.0

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._enabled and self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def advance(self, n: int = 1) -> None:
        """Counts `n` more as done."""
        self._done += n
        if self._enabled:
            now = time.monotonic()
            if now - self._drawn >= REDRAW_SECONDS:
                self._drawn = now
                sys.stderr.write("\r" + self._line(now - self._start) + "\x1b[K")
                sys.stderr.flush()

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds if seconds > 0 else 0.0
        text = f"{printable(self._label)}  {self._done:,}"
        if self._total:
            text += f" of {self._total:,} {self._unit} ({100 * self._done / self._total:.0f}%)"
        else:
            text += f" {self._unit}"
        text += f"  {rate:,.0f} {self._unit}/s"
        if self._total and rate > 0:
            left = int(max(0, self._total - self._done) / rate)
            text += f"  {left // 60}:{left % 60:02d} left"
        return text
