"""Files on their way to a store: written to this machine's disk, then sent under their names in the background, a few at a time.

Where the system allows it the files have no names here: a process that is killed leaves nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from atlas_ds.forks import in_child
from atlas_ds.store.files import explained
from atlas_ds.store.store import Bytes, FileInfo

AT_ONCE = 2  # files of a process that are being sent
Send = Callable[[str, str, int], FileInfo]
"""Sends a file: its path on this machine, its name in the store, its bytes."""


class Places:
    """Of files that are being sent; who wants to send another one waits. A forked child has places of its own."""

    def __init__(self) -> None:
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._free = threading.Semaphore(AT_ONCE)

    def take(self) -> Callable[[], None]:
        """Returns what gives the place back."""
        free = self._free
        free.acquire()
        return free.release


places = Places()


class SpoolFile:
    """A file without a name (see NewFile in store.py), in $TMPDIR. shown: how errors name it. send: what publish does in the background."""

    def __init__(self, shown: str, send: Send) -> None:
        self._shown, self._send = shown, send
        self._folder = Path(tempfile.gettempdir())
        with explained(self._folder):
            if sys.platform == "linux":
                self._file = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115  # it is closed when it was sent or discarded
                self._path = f"/proc/{os.getpid()}/fd/{self._file.fileno()}"
            else:
                self._file = tempfile.NamedTemporaryFile(prefix="atlas-", buffering=1 << 20)  # noqa: SIM115
                self._path = self._file.name
        self._state = "open"
        self.size = 0
        in_child(self)

    def after_fork(self) -> None:
        """Where the next byte is written is shared with the parent: what a child has in its buffer must not get there when the child frees it."""
        if not self._file.closed:
            null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            os.dup2(null, self._file.fileno(), inheritable=False)
            os.close(null)

    def _check(self, *states: str) -> None:
        if self._state not in states:
            raise ValueError(f"{self._shown}: is already {self._state}; write the file again")

    def write(self, data: Bytes) -> None:
        self._check("open")
        try:
            with explained(self._folder):
                self.size += self._file.write(data)
        except BaseException:
            self.discard()
            raise

    def finish(self) -> None:
        """All bytes are on this machine; they are safe once publish has sent them."""
        self._check("open", "finished")
        if self._state == "finished":
            return
        try:
            with explained(self._folder):
                self._file.flush()
        except BaseException:
            self.discard()
            raise
        self._state = "finished"

    def publish(self, name: str) -> Future[FileInfo]:
        """Returns once there is a place to send it. If that fails, the file is gone."""
        self.finish()
        future: Future[FileInfo] = Future()
        give_back = places.take()
        self._state = "published"

        def run() -> None:
            try:
                found: FileInfo | BaseException = self._send(self._path, name, self.size)
            except BaseException as error:
                found = error
            with contextlib.suppress(OSError):  # all was flushed
                self._file.close()
            give_back()
            if isinstance(found, BaseException):
                future.set_exception(found)
            else:
                future.set_result(found)

        try:
            threading.Thread(target=run, name="atlas-upload", daemon=True).start()
        except Exception:  # no thread could be started; after a Ctrl-C there may be one, which sends the file and gives the place back
            give_back()
            self._state = "finished"
            raise
        return future

    def discard(self) -> None:
        if self._state in ("open", "finished"):
            self._state = "discarded"
            with contextlib.suppress(OSError):  # what was buffered on a full disk
                self._file.close()
