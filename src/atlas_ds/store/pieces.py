"""A file of a store as a stream: ranges of some megabytes, a few of which are under way ahead of the reader."""

from __future__ import annotations

import io
import queue
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from atlas_ds.forks import in_child
from atlas_ds.store.helper import Asking, elsewhere, helper
from atlas_ds.store.store import Bytes, FileInfo, Want

CHUNK = 4 << 20
AHEAD = 4  # ranges that were asked for and not handed out yet


class Asked(Asking, Protocol):
    """A store that can be asked for ranges without waiting."""

    def begin(self, wants: Sequence[Want], done: Callable[[int, Bytes | Exception], None]) -> object:
        """Calls done with the number of each and its bytes, or its error, when they are there."""


class Pieces(io.RawIOBase):
    """A file read from its beginning; every range is of the version that it had then."""

    def __init__(self, store: Asked, file: FileInfo) -> None:
        self._store, self._file = store, file
        self._count = -(-file.size // CHUNK)
        self._given = 0  # ranges that were handed out
        self._rest = memoryview(b"")
        self._ask_again()
        in_child(self)

    def _ask_again(self) -> None:
        self._asked, self._early = self._given, dict[int, Bytes]()
        self._answers: queue.SimpleQueue[tuple[int, Bytes | Exception]] = queue.SimpleQueue()

    def after_fork(self) -> None:
        """The answers under way are the parent's."""
        self._ask_again()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and self._given < self._count:
            self._rest = self._next()
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next(self) -> memoryview:
        for number in range(self._asked, min(self._given + AHEAD, self._count)):
            start = number * CHUNK
            self._ask(number, Want(self._file.name, start, min(CHUNK, self._file.size - start), self._file.version))
            self._asked = number + 1
        while self._given not in self._early:
            number, answer = self._answers.get()
            if isinstance(answer, Exception):
                self._ask_again()  # who catches it and reads on does not wait for what nobody sends
                raise answer
            self._early[number] = answer
        data = self._early.pop(self._given)
        self._given += 1
        return memoryview(data).cast("B")

    def _ask(self, number: int, want: Want) -> None:
        answers = self._answers  # those of an error or of a fork are others
        if elsewhere(self._store):
            helper.send(self._store, [("range", tuple(want), {})], answers, number)
        else:
            self._store.begin([want], lambda _, answer: answers.put((number, answer)))
