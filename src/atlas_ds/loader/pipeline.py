"""Work done ahead by threads and handed out in order. Knows nothing of data: `make(number)` does a piece of work, `get(number)` gives its result."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from atlas_ds.errors import LoaderTimeout

Make = Callable[[int], tuple[Any, int]]
"""A piece of work: its number -> (result, bytes that the result takes)."""


class Failure:
    """An error in place of a result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Pipeline:
    """Pieces 0 .. count - 1, begun in order by several threads, at most about `limit` bytes ahead of the one that takes them in order.

    helps: the taker does a piece itself rather than wait for a thread to begin it, so that small pieces cost no change of threads. Not
    for work that may hang: nobody would watch the taker. threads may be 0, then the taker does all. An error in a piece is raised by
    the `get` of that piece, with its own traceback; what comes after it is not begun.
    timeout: seconds that `get` waits while no piece is finished; then LoaderTimeout, which holds a dump of all threads.
    """

    def __init__(self, make: Make, count: int, *, threads: int, limit: int, timeout: float, helps: bool = True) -> None:
        self._make, self._count, self._limit, self._timeout = make, count, limit, timeout
        self._helps = helps or threads == 0
        self._lock = threading.RLock()  # the garbage collector may close the pipeline in a thread that holds it
        self._ready = threading.Condition(self._lock)  # a piece is finished
        self._room = threading.Condition(self._lock)  # a piece was taken
        self._begun = self._finished = self._taken = 0
        self._done: dict[int, Any] = {}
        self._sizes: dict[int, int] = {}
        self._held = self._largest = 0
        self.most_bytes = 0  # that lay finished at any time
        self._stopped = False
        self._patience = 5.0
        self._pid = os.getpid()
        self._threads: list[threading.Thread] = []
        try:
            for k in range(threads):
                thread = threading.Thread(target=self._work, name=f"atlas-loader-{k}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:  # the system gives no more
            self.close()
            raise

    def _full(self) -> bool:
        """Whether another piece would, by the largest so far, go over the limit. One is always allowed, and only one until its size is known."""
        ahead = self._begun - self._taken
        unknown = self._begun - self._finished
        return ahead > 0 and (self._largest == 0 or self._held + (unknown + 1) * self._largest > self._limit)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._stopped and self._begun < self._count and self._full():
                    self._room.wait()
                if self._stopped or self._begun == self._count:
                    return
                number = self._begun
                self._begun += 1
            self._run(number)

    def _run(self, number: int) -> None:
        size = 0
        result: Any
        try:
            result, size = self._make(number)
        except BaseException as error:
            result = Failure(error)
        with self._lock:
            self._finished += 1
            self._held += size
            self.most_bytes = max(self.most_bytes, self._held)
            if size > self._largest:
                self._largest = size
                self._room.notify_all()  # the size of a piece is known: more may begin
            if isinstance(result, Failure):
                self._count = min(self._count, self._begun)
                self._room.notify_all()
            if not self._stopped:
                self._done[number], self._sizes[number] = result, size
            self._ready.notify_all()

    def get(self, number: int) -> Any:
        """The result of a piece; each is asked for once, in order."""
        self.check_process()  # before the lock, which a thread that is not here may hold
        with self._lock:
            own = self._helps and self._begun == number and not self._stopped
            if own:
                self._begun += 1
        if own:
            self._run(number)
        with self._lock:
            if number not in self._done:
                self._await(number)
            result = self._done.pop(number)
            self._held -= self._sizes.pop(number)
            self._taken += 1
            self._room.notify()
        if isinstance(result, Failure):
            try:
                raise result.error
            finally:
                del result  # else error, frame and error would hold each other
        return result

    def check_process(self) -> None:
        """RuntimeError in a forked child."""
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked during an epoch: its parent has the loader's threads; begin a new epoch here: iter(loader)")

    def _await(self, number: int) -> None:
        deadline, finished = time.monotonic() + self._timeout, self._finished
        while number not in self._done:
            if self._stopped:
                raise RuntimeError("the loader was closed while a batch was waited for")
            if self._finished != finished:
                deadline, finished = time.monotonic() + self._timeout, self._finished
            left = deadline - time.monotonic()
            if left <= 0:
                self._patience = 0.0  # what hung so long will not end now
                raise LoaderTimeout(f"no batch was finished for {self._timeout:g} s (piece {number} of {self._count}); what the threads are doing:\n{dump()}")
            self._ready.wait(min(left, 1.0))

    def close(self) -> None:
        """Lets the threads end after their piece. Waits for them, but not forever: a transform may never return."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._stopped = True
            self._done.clear()
            self._sizes.clear()
            self._room.notify_all()
            self._ready.notify_all()
        if threading.current_thread() in self._threads:
            return
        deadline = time.monotonic() + self._patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def dump() -> str:
    """The stacks of all threads of this process."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}" for ident, frame in sys._current_frames().items()]
    return "\n".join(parts)
