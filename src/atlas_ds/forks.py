"""Locks that a forked child can use. A child has only the thread that forked: a lock that another thread held would stay held in it for ever."""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """threading.Lock as a context manager. A forked child gets a new one that is free.

    torn: in a child, whether the lock was held when the child was forked: what it guards may have been in the middle of a change.
    """

    __slots__ = ("__weakref__", "_lock", "torn")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.torn = False
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def remake(self) -> None:
        """In a forked child: a new lock."""
        self.torn = self.torn or self._lock.locked()
        self._lock = threading.Lock()


_all: weakref.WeakSet[Lock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_all):
        lock.remake()


os.register_at_fork(after_in_child=_after_fork)
