"""Things that many threads need at once: each is loaded once, stays while it is used, and goes when others need its room. It knows nothing of them.

Readers that find everything there do not come here: they look at states and pins without a lock (csrc/present.c). The rules for the others:

- no lock is held while something is loaded, and nobody waits for readers under it, unless what waits for them takes as much as the limit
- threads that need the same thing share one load; if it fails, it fails those who need it and nobody else
- what a call waits for, or holds, is not evicted; what a reader is in is given back only after it has left
- a forked child has nothing of this but what was there: no load, no hold, no lock of other threads
- a call may be interrupted (Ctrl-C) wherever Python code runs. Each step that must not be torn is made of statements that call nothing, which
  are not interrupted. What a call has begun or holds is noted in its Hold first, and the end of the Hold ends it
"""

from __future__ import annotations

import copy
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from atlas_ds._core.base import ALL_LEFT, Pins
from atlas_ds.errors import AtlasError
from atlas_ds.forks import Lock, in_child

PATIENCE = 0.1  # seconds to wait for readers where too much waits for them
LOOK = 1.0  # seconds after which a waiting thread looks whether the load it waits for is still there
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class _Load(Generic[K]):
    """A thing on its way. waiting: holds of the other calls that need it. done without came or error: the thread that loaded it was stopped."""

    __slots__ = ("came", "done", "error", "waiting")

    def __init__(self) -> None:
        self.done = self.came = False
        self.error: Exception | None = None
        self.waiting: list[Hold[K]] = []


class Hold(Generic[K]):
    """Things that stay until exit(). begun: loads that this call has to end. wake: released when another thread has ended one that it waits for
    (one of Python's own locks: what it offers beside them can be left locked by an interrupted thread). size: of what was asked for."""

    __slots__ = ("_keeping", "begun", "closed", "keys", "life", "size", "wake")

    def __init__(self, keeping: Keeping[K], life: int) -> None:
        self.keys: dict[K, None] = {}
        self.begun: dict[K, _Load[K]] = {}
        self._keeping, self.life, self.closed = keeping, life, False
        self.size = 0
        self.wake = threading.Lock()

    def exit(self) -> None:
        """Lets them go. It may be called again."""
        self._keeping.release(self)

    def __del__(self) -> None:  # of a call that was interrupted before exit, or in it
        if getattr(self, "keys", None) or getattr(self, "begun", None):
            self._keeping.left.append(self)


class Keeping(ABC, Generic[K]):
    """Keeps things up to `limit` (in what size says); more only while calls hold them. A subclass says what they are."""

    def __init__(self, limit: int, pins: Pins | None = None) -> None:
        self.pins = Pins() if pins is None else pins
        self.limit = limit
        self.used = 0  # of the limit, by what is there or being loaded
        self.left: list[Hold[K]] = []  # nobody has them any more, and they were not released
        self._lock = Lock()
        self._there: OrderedDict[K, int] = OrderedDict()  # to the calls that hold it; what came or was read last is at the end
        self._loads: dict[K, _Load[K]] = {}
        self._going: OrderedDict[K, int] = OrderedDict()  # hidden, but a reader may be inside: to the slots of pins that were seen empty since
        self._leaving = 0  # what they take
        self._life = 0
        in_child(self)

    # --- what is kept: a subclass says it. All but `load` are called under the lock. They may be interrupted, and are called again; but for `drop`:
    # what it left goes when the thing is loaded and dropped the next time ---

    @abstractmethod
    def size(self, key: K) -> int:
        """How much of the limit it takes."""

    @abstractmethod
    def begin(self, key: K) -> None:
        """It is about to be loaded: dropping others must leave its memory alone. show or give_up follows."""

    @abstractmethod
    def give_up(self, key: K) -> None:
        """It was not loaded after all."""

    @abstractmethod
    def load(self, keys: list[K]) -> Iterator[tuple[K, Exception | None]]:
        """Loads all of them together; yields each once it can be shown, or with the error that it failed with."""

    @abstractmethod
    def show(self, key: K) -> None:
        """Readers find it from now on."""

    @abstractmethod
    def hide(self, key: K) -> None:
        """New readers do not find it any more."""

    @abstractmethod
    def take_used(self, key: K) -> bool:
        """Whether it was read since this was asked last."""

    @abstractmethod
    def drop(self, key: K) -> None:
        """It is hidden, and no reader is in it: its memory can go."""

    # --- holding ---

    def hold(self, keys: Sequence[K]) -> Hold[K]:
        """Loads what is not there, and holds all of it. keys: each once. Raises what loading one of them failed with."""
        hold = Hold(self, self._life)
        wanted = list(keys)
        try:
            while wanted:
                others = self._locked(partial(self._claim, wanted, hold))
                self._load(hold)
                for key, load in others:
                    self._wait(key, load, hold)
                wanted = [key for key, _ in others if key not in hold.keys]
        except BaseException:
            try:
                hold.exit()
            except BaseException:  # interrupted once more
                hold.exit()
                raise
            raise
        return hold

    def _locked(self, change: Callable[[], T]) -> T:
        """Calls something under the lock. Whatever interrupts it, the sums are right afterwards."""
        with self._lock.held:
            try:
                return change()
            except BaseException:
                self._count()
                raise

    def _claim(self, keys: list[K], hold: Hold[K]) -> list[tuple[K, _Load[K]]]:
        """Holds what is there, begins to load what nobody loads, and returns what others are loading. Call it under the lock."""
        others = []
        self._tidy()
        for key in keys:
            size = self.size(key)
            if key in self._going:
                self._there[key] = 0
                self.used += size
                self._leaving -= size
                del self._going[key]
            if key in self._there:
                self.show(key)  # evicting it may have been interrupted after it was hidden
                self._there.move_to_end(key)
                self._there[key] += 1
                hold.keys[key] = None
            elif key in self._loads:
                load = self._loads[key]
                load.waiting.append(hold)
                others.append((key, load))
            else:
                load = _Load()
                hold.begun[key] = load
                self._loads[key] = load
                self.used += size
                self.begin(key)
        self._make_room()
        return others

    def _load(self, hold: Hold[K]) -> None:
        """Loads what a call has begun to, and raises the first error after all have been answered."""
        mine, loads = list(hold.begun), list(hold.begun.values())
        if not mine:
            return
        for key, error in self.load(mine):
            if key not in hold.begun:
                raise AtlasError(f"{key}: came twice, or was not asked for")
            self._locked(partial(self._finish, key, error, hold))
        silent = [key for key, load in zip(mine, loads, strict=True) if not load.done]
        failed = [load.error for load in loads if load.error is not None][:1]
        error = None
        loads.clear()  # the traceback of the error has this frame, which must not have the error
        if failed:
            raise failed.pop()
        if silent:
            raise AtlasError(f"{silent[0]}: was asked for, and neither came nor failed")

    def _finish(self, key: K, error: Exception | None, hold: Hold[K]) -> None:
        """Ends a load. Call it under the lock."""
        load = hold.begun[key]
        if hold.life != self._life:
            raise AtlasError(f"{key}: the process was forked while it was loaded; read again")
        load.error, load.came = error, error is None
        self._settle(key, load, hold)
        del hold.begun[key]

    def _settle(self, key: K, load: _Load[K], own: Hold[K]) -> None:
        """Ends a load, whatever became of it. Call it under the lock; again, if it was interrupted: until its last step the load is still there."""
        size = self.size(key)
        if load.came:
            self.show(key)
            holds = 0
            for hold in (own, *load.waiting):
                if hold.closed:
                    hold.keys.pop(key, None)  # of an interrupted call of this
                else:
                    hold.keys[key] = None
                    holds += 1
            self._there[key] = holds
            del self._loads[key]
        else:
            self.give_up(key)
            self.used -= size
            del self._loads[key]
        finish(load)

    def _wait(self, key: K, load: _Load[K], hold: Hold[K]) -> None:
        """Waits for what another thread loads. If that thread was stopped, it has to be loaded again: the call does not hold it."""
        while not load.done:
            if not hold.wake.acquire(timeout=LOOK):
                self._locked(self._tidy)
                if self._loads.get(key) is not load:
                    break
        if load.error is not None:
            raise copied(load.error) from load.error

    # --- letting go ---

    def release(self, hold: Hold[K]) -> None:
        """See Hold.exit."""
        self._locked(partial(self._let_go, hold))

    def _let_go(self, hold: Hold[K]) -> None:
        self._end(hold)
        self._tidy()
        self._make_room()

    def _tidy(self) -> None:
        """Ends the holds that nobody has any more."""
        while self.left:
            self._end(self.left[0])
            del self.left[0]

    def _end(self, hold: Hold[K]) -> None:
        """Ends a hold; again, if it was interrupted."""
        hold.closed = True
        mine = hold.life == self._life
        while hold.begun:
            key = next(iter(hold.begun))
            load = hold.begun[key]
            if mine and self._loads.get(key) is load:
                self._settle(key, load, hold)
            finish(load)
            del hold.begun[key]
        while hold.keys:
            key = next(iter(hold.keys))
            if mine and key in self._there:
                self._there[key] -= 1
            del hold.keys[key]

    def forget(self, keys: Sequence[K]) -> None:
        """Forgets things whose memory goes by other ways; nobody holds them, and no reader is in them."""
        self._locked(partial(self._forget, keys))

    def _forget(self, keys: Sequence[K]) -> None:
        for key in keys:
            size = self.size(key)
            if key in self._there:
                self.used -= size
                del self._there[key]
            elif key in self._going:
                self._leaving -= size
                del self._going[key]

    def _make_room(self) -> None:
        """Evicts what nobody holds, and nobody read since it was looked at last, until the rest is within the limit. Call it under the lock."""
        looks = 2 * len(self._there)
        while self.used > self.limit and looks > 0 and self._there:
            looks -= 1
            key = next(iter(self._there))
            if self._there[key] or self.take_used(key):
                self._there.move_to_end(key)
                continue
            size = self.size(key)
            self.hide(key)
            self._going[key] = 0
            self.used -= size
            self._leaving += size
            del self._there[key]
        self._drop_left()
        if self._leaving > self.limit and self.pins.drained(PATIENCE):
            self._drop_left(ALL_LEFT)

    def _drop_left(self, seen: int = 0) -> None:
        """Drops what every reader has left that was inside when it was hidden. seen: slots that were empty after that."""
        if not self._going:
            return
        seen = self.pins.empty(self.pins.empty(seen))  # the first may have sent readers to the other slot
        changed = []
        for key in reversed(self._going):
            if self._going[key] | seen == self._going[key]:
                break  # those that were hidden before it have seen as much
            changed.append(key)
        for key in reversed(changed):
            if self._going[key] | seen != ALL_LEFT:
                self._going[key] |= seen
                continue
            size = self.size(key)
            self._leaving -= size
            del self._going[key]
            self.drop(key)

    def _count(self) -> None:
        """Adds up what is there, and what goes."""
        self.used = sum(map(self.size, self._there)) + sum(map(self.size, self._loads))
        self._leaving = sum(map(self.size, self._going))

    def after_fork(self) -> None:
        """In a forked child: nobody loads or holds anything. Another thread may have been in the middle of any step."""
        self._life += 1
        self.left.clear()
        for key in self._loads:
            self.give_up(key)
        self._loads.clear()
        for key in self._there:
            self._there[key] = 0
            self.show(key)
        for key in self._going:
            self.hide(key)
        self._count()


def finish(load: _Load[K]) -> None:
    """Wakes those who wait for a load."""
    load.done = True
    for hold in load.waiting:
        if hold.wake.locked():
            hold.wake.release()


def copied(error: Exception) -> Exception:
    """The same error for another thread, with a traceback of its own; the error itself where its class cannot be copied."""
    try:
        return copy.copy(error)
    except Exception:
        return error
