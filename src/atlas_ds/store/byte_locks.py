"""Locks on single bytes of one file, each held by one thread of all processes. The kernel frees those of a process that ends.

They are locks of an open file (OFD), which a forked child would share: it opens the file again, and holds none.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atlas_ds.forks import Lock

FLOCK = struct.Struct("hhqqi")  # struct flock: kind, from where, begin, length, process
HAVE = hasattr(fcntl, "F_OFD_SETLK")
WAIT = 0.001  # seconds before the second look; the pauses double, up to LONGEST
LONGEST = 0.02


class ByteLocks:
    """Of the file at a path, which is made if it does not exist. In a forked child, call after_fork before anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._lock = Lock(again=True)  # the garbage collector may give locks back in a thread that takes one
        self._taken: dict[int, object] = {}  # to who took it

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)

    def after_fork(self) -> None:
        """OSError if the file cannot be opened again: then no lock can be taken."""
        self._lock.after_fork()
        self._taken.clear()
        mine, self._fd = self._fd, -1
        try:
            self._fd = os.open(f"/proc/self/fd/{mine}", os.O_RDWR | os.O_CLOEXEC)  # also of a file that was removed
        finally:
            os.close(mine)  # it is the parent's, too, and would keep its locks

    def is_there(self) -> bool:
        """Whether the file still has its name."""
        try:
            return os.path.samestat(os.stat(self.path, follow_symlinks=False), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def try_take(self, at: int, owner: object) -> bool:
        """Takes the lock of a byte for an owner, if nobody has it. Whatever interrupts it, give() puts it right."""
        with self._lock.held:
            if at in self._taken:
                return False
            self._taken[at] = owner
            done = False
            try:
                done = self._set(fcntl.F_WRLCK, at)
                return done
            finally:
                if not done:
                    self._taken.pop(at, None)

    def give(self, at: int, owner: object) -> None:
        """Gives it back, if this owner has it."""
        with self._lock.held:
            if at in self._taken and self._taken[at] is owner:
                self._set(fcntl.F_UNLCK, at)
                del self._taken[at]

    def is_taken(self, at: int) -> bool:
        """Whether anybody has it."""
        if at in self._taken:
            return True
        found = fcntl.fcntl(self._fd, fcntl.F_OFD_GETLK, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))
        kind: int = FLOCK.unpack(found)[0]
        return kind != fcntl.F_UNLCK

    def _set(self, kind: int, at: int) -> bool:
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, FLOCK.pack(kind, os.SEEK_SET, at, 1, 0))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    @contextmanager
    def holding(self, at: int, patience: float) -> Iterator[None]:
        """With a byte's lock. TimeoutError after `patience` seconds."""
        me = object()
        try:
            pauses = None
            while not self.try_take(at, me):
                pauses = waiting(patience) if pauses is None else pauses
                if not next(pauses):
                    raise TimeoutError(f"{self.path}: another process or thread has held the lock of byte {at} for {patience:g} s")
            yield
        finally:
            try:
                self.give(at, me)
            except BaseException:  # interrupted, by whatever a signal raises: nobody comes after this
                self.give(at, me)
                raise


def waiting(patience: float) -> Iterator[bool]:
    """Pauses between looks: each next() sleeps, and says whether there is time for another one."""
    end, pause = time.monotonic() + patience, WAIT
    while True:
        left = end - time.monotonic()
        time.sleep(max(0.0, min(pause, left)))
        pause = min(2 * pause, LONGEST)
        yield left > 0
