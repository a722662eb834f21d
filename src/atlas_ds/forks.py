"""What a forked child has to make again. It has only the thread that forked: a lock held by another thread would stay
locked in it forever, and what other threads were in the middle of is never finished."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import weakref
from typing import Any, Protocol


class Child(Protocol):
    """Something that a forked child repairs."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""


class Held(Protocol):
    """One of Python's own locks."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...


def in_child(one: Child) -> None:
    """Has one.after_fork() called in every forked child, for as long as it lives. Those registered first are called first."""
    number = next(_numbers)

    def forget(_: weakref.ref[Child]) -> None:
        _all.pop(number, None)

    _all[number] = weakref.ref(one, forget)


class Lock:
    """A lock: `with lock.held:`. A forked child gets a new, unlocked one.

    held: the lock itself, because a `with` statement over one of Python's own locks cannot be interrupted (Ctrl-C) between taking it and
    being in it. again: the thread that has it may take it again. torn: in a child, whether the lock was held at the fork: the data it
    guards may have been halfway through a change.
    """

    __slots__ = ("__weakref__", "_make", "held", "torn")

    def __init__(self, *, again: bool = False) -> None:
        self._make = threading.RLock if again else threading.Lock
        self.held: Held = self._make()
        self.torn = False
        in_child(self)

    def after_fork(self) -> None:
        self.torn = self.torn or not self.held.acquire(blocking=False)
        self.held = self._make()


class Forked:
    """now: whether this process was forked from one that had Atlas loaded."""

    def __init__(self) -> None:
        self.now = False
        in_child(self)

    def after_fork(self) -> None:
        self.now = True


_all: dict[int, weakref.ref[Child]] = {}
_numbers = itertools.count()
_signals = threading.local()


def _before_fork() -> None:
    """No signal comes until the child is repaired: one whose handler raises (Ctrl-C) would end the repairs."""
    _signals.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _after_fork() -> None:
    failed = None
    try:
        for reference in list(_all.values()):
            one = reference()
            if one is not None:
                try:
                    one.after_fork()
                except Exception as error:  # the others are repaired all the same
                    failed = error
    finally:
        _unblock()
    if failed is not None:
        raise failed


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _signals.blocked)


forked = Forked()
os.register_at_fork(before=_before_fork, after_in_parent=_unblock, after_in_child=_after_fork)
