"""Things that many threads need at once: each is loaded once, stays while it is used, and goes when others need its room. It knows nothing of them.

Readers that find everything there do not come here: they look at states and pins without a lock (csrc/present.c). The rules for the others:

- no lock is held while something is loaded
- threads that need the same thing share one load; if it fails, it fails those who need it and nobody else
- what a call waits for, or holds, is not evicted; what a reader is in is given back only after it has left
- a forked child has nothing of this but what was there: no load, no hold, no lock of other threads
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from atlas_ds._core.base import Pins
from atlas_ds.errors import AtlasError
from atlas_ds.forks import Lock, in_child

PATIENCE = 0.1  # seconds to wait for readers; after that what they may use is given back later
K = TypeVar("K", bound=Hashable)


class Things(Protocol[K]):
    """What is kept."""

    def size(self, key: K) -> int:
        """How much of the limit it takes."""

    def begin(self, key: K) -> None:
        """It is about to be loaded: dropping others must leave its memory alone. show or give_up follows."""

    def give_up(self, key: K) -> None:
        """It was not loaded after all."""

    def load(self, keys: list[K]) -> Iterator[tuple[K, Exception | None]]:
        """Loads all of them together; yields each once it can be shown, or with the error that it failed with."""

    def show(self, key: K) -> None:
        """Readers find it from now on."""

    def hide(self, key: K) -> None:
        """New readers do not find it any more."""

    def rest(self, key: K) -> bool:
        """Whether it was read since this was asked last."""

    def drop(self, key: K) -> None:
        """It is hidden, and no reader is in it: its memory can go."""


class _Load:
    """waiting: other threads that need it. lost: the thread that loaded it was stopped before it knew."""

    __slots__ = ("done", "error", "lost", "waiting")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self.lost = False
        self.waiting = 0


class Hold(Generic[K]):
    """Things that stay until exit()."""

    __slots__ = ("_keeping", "_life", "keys")

    def __init__(self, keeping: Keeping[K], life: int) -> None:
        self._keeping, self._life = keeping, life
        self.keys: list[K] = []

    def exit(self) -> None:
        """Lets them go. It may be called again."""
        keys, self.keys = self.keys, []
        if keys:
            self._keeping.release(keys, self._life)


class Keeping(Generic[K]):
    """Keeps things up to `limit` (in what size says); more only while calls hold them."""

    def __init__(self, things: Things[K], limit: int) -> None:
        self.pins = Pins()
        self.limit = limit
        self.used = 0  # of the limit, by what is there or being loaded
        self._things = things
        self._lock = Lock()
        self._there: OrderedDict[K, int] = OrderedDict()  # to the calls that hold it; what came or was read last is at the end
        self._loads: dict[K, _Load] = {}
        self._going: dict[K, None] = {}  # hidden, but a reader may be inside
        self._life = 0
        in_child(self)

    def enter(self, keys: Sequence[K]) -> Hold[K]:
        """Loads what is not there, and holds all of it. keys: each once. Raises what loading one of them failed with."""
        hold = Hold(self, self._life)
        left = list(keys)
        try:
            while left:
                mine, others = self._claim(left, hold)
                if mine:
                    self._load(mine, hold)
                left = [key for key, load in others if not self._wait(key, load, hold)]
        except BaseException:
            hold.exit()
            raise
        return hold

    def _claim(self, keys: list[K], hold: Hold[K]) -> tuple[dict[K, _Load], list[tuple[K, _Load]]]:
        """Holds what is there. Returns what this thread has to load, and what others are loading."""
        mine: dict[K, _Load] = {}
        others = []
        with self._lock:
            for key in keys:
                if key in self._going:
                    del self._going[key]
                    self.used += self._things.size(key)
                    self._arrived(key, 0)
                if key in self._there:
                    self._there[key] += 1
                    self._there.move_to_end(key)
                    hold.keys.append(key)
                elif key in self._loads:
                    self._loads[key].waiting += 1
                    others.append((key, self._loads[key]))
                else:
                    mine[key] = self._loads[key] = _Load()
                    self._things.begin(key)
                    self.used += self._things.size(key)
            self._make_room()
        return mine, others

    def _load(self, mine: dict[K, _Load], hold: Hold[K]) -> None:
        """Loads things, and raises the first error after all have been answered."""
        left = dict(mine)
        try:
            for key, error in self._things.load(list(mine)):
                self._finish(key, left.pop(key), hold, error)
        finally:
            if left:
                self._lose(left)
        for key, load in mine.items():
            if load.lost:
                raise AtlasError(f"{key}: was asked for, and neither came nor failed")
            if load.error is not None:
                raise load.error

    def _finish(self, key: K, load: _Load, hold: Hold[K], error: Exception | None) -> None:
        with self._lock:
            self._loads.pop(key, None)
            if error is None:
                self._arrived(key, 1 + load.waiting)
                hold.keys.append(key)
            else:
                self.used -= self._things.size(key)
                self._things.give_up(key)
                load.error = error
            load.done.set()

    def _arrived(self, key: K, holds: int) -> None:
        self._there[key] = holds
        self._things.show(key)

    def _lose(self, left: dict[K, _Load]) -> None:
        """This thread stops: others load what it has not."""
        with self._lock:
            for key, load in left.items():
                if self._loads.get(key) is load:
                    del self._loads[key]
                    self.used -= self._things.size(key)
                    self._things.give_up(key)
                load.lost = True
                load.done.set()

    def _wait(self, key: K, load: _Load, hold: Hold[K]) -> bool:
        """Waits for what another thread loads. False if that thread was stopped, so that it has to be loaded again."""
        try:
            load.done.wait()
        except BaseException:
            with self._lock:
                if not load.done.is_set():
                    load.waiting -= 1
                elif load.error is None and not load.lost:
                    hold.keys.append(key)
            raise
        if load.error is not None:
            raise copy.copy(load.error) from load.error
        if not load.lost:
            hold.keys.append(key)
        return not load.lost

    # --- letting go ---

    def release(self, keys: Sequence[K], life: int) -> None:
        """See Hold.exit."""
        with self._lock:
            if life != self._life:
                return
            for key in keys:
                self._there[key] -= 1
            self._make_room()

    def forget(self, keys: Sequence[K]) -> None:
        """Drops what nobody holds, and no reader is in."""
        with self._lock:
            for key in keys:
                if self._there.pop(key, None) is not None:
                    self.used -= self._things.size(key)
                self._going.pop(key, None)

    def _make_room(self) -> None:
        """Evicts what nobody holds, and nobody read since it was looked at last, until the rest is within the limit. Call it under the lock."""
        looks = 2 * len(self._there)
        while self.used > self.limit and looks > 0 and self._there:
            looks -= 1
            key, holds = next(iter(self._there.items()))
            if holds or self._things.rest(key):
                self._there.move_to_end(key)
                continue
            del self._there[key]
            self._things.hide(key)
            self._going[key] = None
            self.used -= self._things.size(key)
        if self._going and self.pins.drained(PATIENCE):
            for key in self._going:
                self._things.drop(key)
            self._going.clear()

    def after_fork(self) -> None:
        """In a forked child: nobody loads or holds anything."""
        self._life += 1
        for key in self._loads:
            self._things.give_up(key)
        self._loads.clear()
        for key in self._there:
            self._there[key] = 0
        for key in self._going:
            self._things.hide(key)
        self.used = sum(map(self._things.size, self._there))
