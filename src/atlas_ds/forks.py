"""Locks that work in forked children. A child has only the thread that forked: a lock held by another thread would stay
locked in the child forever."""

from __future__ import annotations

import os
import threading
import weakref


class Lock:
    """threading.Lock as a context manager. A forked child gets a new, unlocked one.

    torn: in a child, whether the lock was held at the fork: the data it guards may have been halfway through a change.
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
