"""A log on a store that can neither append nor lock: a file that is written again as it grows, and every minute while somebody holds it.

Who holds it knows its version: after another one has taken it over, the next write is a CommitConflict.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import Protocol

from atlas_ds.errors import AtlasError, CommitConflict, LimitError
from atlas_ds.forks import Lock, in_child

BEAT = 60.0  # seconds between two writes, at most
LEASE = 300.0  # seconds, by the store's clock, for which a log counts as held after it was written
GROWTH = 100  # sync writes a log again once a hundredth of it is new: writing a long one for each line would cost the square of their number


class WriteLog(Protocol):
    """Writes a file and a note whether it is held, if it has a version (None: there is none; ...: whatever is there); returns the new version."""

    def __call__(self, data: bytes, expected: object, *, held: bool) -> str: ...


class ReadLog(Protocol):
    """A file and its version. LimitError if it has more bytes."""

    def __call__(self, *, limit: int) -> tuple[bytes, str]: ...


class LeasedLog:
    """Held from the beginning until it is closed, or this process ends."""

    def __init__(self, place: str, data: bytes, write: WriteLog, read: ReadLog) -> None:
        self._place, self._data, self._write, self._read = place, data, write, read
        self._lock = Lock()
        self._closed = False
        self._lost: CommitConflict | None = None
        self._unsure = False  # whether a write that failed may have been stored
        self._version = write(data, ..., held=True)
        self._sent, self._when = len(data), time.monotonic()
        in_child(self)
        threading.Thread(target=beat, args=(weakref.ref(self),), name="atlas-log", daemon=True).start()

    def after_fork(self) -> None:
        self._closed = True  # the parent has it

    def append(self, data: bytes) -> None:
        """Readers see it after the next sync, as far as that writes."""
        with self._lock.held:
            if self._closed:
                raise self._lost or ValueError("the log is closed; nothing can be appended")
            self._data += data

    def sync(self) -> None:
        """Writes what was appended, unless it is little beside the whole, and young. CommitConflict if another writer has taken the log over."""
        with self._lock.held:
            if self._lost is not None:
                raise self._lost
            new = len(self._data) - self._sent
            if not self._closed and ((new and new * GROWTH >= len(self._data)) or time.monotonic() - self._when >= BEAT):
                self._send()

    def _send(self, *, held: bool = True) -> None:
        try:
            if self._unsure:
                self._look()
            self._unsure = True
            self._version = self._write(self._data, self._version, held=held)
            self._unsure = False
        except CommitConflict:
            self._closed = True
            self._lost = CommitConflict(f"{self._place}: another writer has taken it over, or it was removed: write again with resume=True")
            raise self._lost from None
        self._sent, self._when = len(self._data), time.monotonic()

    def _look(self) -> None:
        """Takes the version that is there, if it is what this log has written: nobody else's begins with its bytes."""
        with contextlib.suppress(FileNotFoundError, LimitError):  # it is another one's: the write says so
            found, version = self._read(limit=len(self._data))
            if found and self._data.startswith(found):
                self._version = version

    def keep(self) -> bool:
        """Says that it is still held, if nothing did lately. Whether it is."""
        with self._lock.held:
            if not self._closed and time.monotonic() - self._when >= BEAT:
                with contextlib.suppress(OSError, AtlasError):  # the next beat, or who appends, meets it again
                    self._send()
            return not self._closed

    def close(self) -> None:
        with self._lock.held:
            if not self._closed:
                with contextlib.suppress(OSError, AtlasError):  # it was removed; or the lease ends
                    self._send(held=False)
                self._closed = True


def beat(log: weakref.ref[LeasedLog]) -> None:
    """Keeps a log held as long as somebody has it."""
    while True:
        time.sleep(BEAT / 4)
        found = log()
        if found is None or not found.keep():
            return
        del found
