"""What a forked child has to make again. It has only the thread that forked: a lock held by another thread would stay
locked in it forever, and what other threads were in the middle of is never finished."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from typing import Protocol


class Child(Protocol):
    """Something that a forked child repairs."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


def in_child(one: Child) -> None:
    """Has one.after_fork() called in every forked child, for as long as it lives. Those registered first are called first."""
    number = next(_numbers)

    def forget(_: weakref.ref[Child]) -> None:
        _all.pop(number, None)

    _all[number] = weakref.ref(one, forget)


class Lock:
    """threading.Lock as a context manager. A forked child gets a new, unlocked one.

    torn: in a child, whether the lock was held at the fork: the data it guards may have been halfway through a change.
    """

    __slots__ = ("__weakref__", "_lock", "torn")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.torn = False
        in_child(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        self.torn = self.torn or self._lock.locked()
        self._lock = threading.Lock()


_all: dict[int, weakref.ref[Child]] = {}
_numbers = itertools.count()


def _after_fork() -> None:
    for reference in list(_all.values()):
        one = reference()
        if one is not None:
            one.after_fork()


os.register_at_fork(after_in_child=_after_fork)
