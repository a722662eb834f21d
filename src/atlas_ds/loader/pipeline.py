"""Runs numbered tasks ahead of their consumer in threads and returns the results in order. It knows nothing of data:
`make(number)` runs a task, `get(number)` returns its result."""

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
"""Runs a task: number -> (result, bytes that the result occupies)."""
Weigh = Callable[[int], int]


class Failure:
    """An error in place of a result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Pipeline:
    """Tasks 0 .. count - 1, started in order by several threads, about `limit` bytes ahead of the consumer at most.

    inline: the consumer runs the next task itself if no thread has started it, which saves a thread switch for small tasks.
    Do not use it for tasks that may hang: nobody watches the consumer. With threads=0 the consumer runs all tasks. An error
    in a task is raised by `get` of that task, with its own traceback; later tasks are not started.
    weigh: the bytes of a task before it begins, called for each in order, one at a time; None: as many as the largest so far had. What is ahead grows
    to the limit with what was taken, by weight or size, whichever is more, so that the first tasks need not share with many others. An error in it is
    one of the task. `get` waits for the tasks before, too: they may have what this one left out.
    timeout: seconds that `get` waits without any task finishing before it raises LoaderTimeout with the stacks of all threads.
    """

    def __init__(self, make: Make, count: int, *, threads: int, limit: int, timeout: float, inline: bool = True, weigh: Weigh | None = None) -> None:
        self._make, self._count, self._limit, self._timeout = make, count, limit, timeout
        self._inline = inline or threads == 0
        self._lock = threading.RLock()  # the garbage collector may close the pipeline in a thread that holds it
        self._ready = threading.Condition(self._lock)  # a task finished
        self._room = threading.Condition(self._lock)  # a result was taken
        self._begun = self._finished = self._taken = 0
        self._done: dict[int, Any] = {}
        self._sizes: dict[int, tuple[int, int]] = {}  # of what is done: its bytes, and by how many more may be ahead once it was taken
        self._held = self._largest = self._given = 0
        self._weigh = weigh
        self._weights: dict[int, int] = {}  # of tasks that are not finished, and of the next
        self._unweighed: dict[int, BaseException] = {}  # what weighing a task failed with
        self.most_bytes = 0  # the largest total of finished results so far
        self._stopped = False
        self._patience = 5.0
        self._pid = os.getpid()
        self._threads: list[threading.Thread] = []
        try:
            for k in range(threads):
                thread = threading.Thread(target=self._work, name=f"atlas-loader-{k}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except BaseException:  # the system refuses another thread
            self.close()
            raise

    def _full(self) -> bool:
        """Whether another task would exceed the limit: by its weight; or, if it is as large as the largest so far, where only one may begin until
        its size is known. One is always allowed."""
        ahead = self._begun - self._taken
        if self._weigh is not None:
            if self._begun not in self._weights:
                try:
                    self._weights[self._begun] = self._weigh(self._begun)
                except BaseException as error:
                    self._weights[self._begun] = 0
                    self._unweighed[self._begun] = error
            return ahead > 0 and self._held + sum(self._weights.values()) > min(self._limit, self._given)
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
            if number in self._unweighed:
                raise self._unweighed.pop(number)
            result, size = self._make(number)
        except BaseException as error:
            result = Failure(error)
        with self._lock:
            self._finished += 1
            self._held += size
            self.most_bytes = max(self.most_bytes, self._held)
            weight = self._weights.pop(number, size)
            if size > self._largest or size < weight:
                self._largest = max(size, self._largest)
                self._room.notify_all()  # a size is known now: more tasks may start
            if isinstance(result, Failure):
                self._count = min(self._count, self._begun)
                self._room.notify_all()
            if not self._stopped:
                self._done[number], self._sizes[number] = result, (size, max(size, weight))
            self._ready.notify_all()

    def get(self, number: int) -> Any:
        """The result of a task; call it once for each, in order."""
        self.check_process()  # before the lock: in a forked child, a thread of the parent may hold it
        with self._lock:
            own = self._inline and self._begun == number and not self._stopped
            if own:
                self._begun += 1
        if own:
            self._run(number)
        with self._lock:
            if not self._is_there(number):
                self._await(number)
            result = self._done.pop(number)
            size, more = self._sizes.pop(number)
            self._held -= size
            self._given += more
            self._taken += 1
            self._room.notify(1 if self._weigh is None else len(self._threads))  # it may have been as large as several others
        if isinstance(result, Failure):
            try:
                raise result.error
            finally:
                del result  # otherwise error and frame would keep each other alive
        return result

    def _is_there(self, number: int) -> bool:
        return number in self._done and all(other > number for other in self._weights)

    def check_process(self) -> None:
        """RuntimeError in a forked child."""
        if os.getpid() != self._pid:
            raise RuntimeError("this process was forked during an epoch, and the loader's threads are in the parent; start a new epoch here: iter(loader)")

    def _await(self, number: int) -> None:
        deadline, finished = time.monotonic() + self._timeout, self._finished
        while not self._is_there(number):
            if self._stopped:
                raise RuntimeError("the loader was closed while waiting for a batch")
            if self._finished != finished:
                deadline, finished = time.monotonic() + self._timeout, self._finished
            left = deadline - time.monotonic()
            if left <= 0:
                self._patience = 0.0  # what hung for so long will not end now
                raise LoaderTimeout(
                    f"no batch was ready within {self._timeout:g} s (piece {number} of {self._count}); stacks of all threads:\n{dump()}"
                )
            self._ready.wait(min(left, 1.0))

    def close(self) -> None:
        """Stops the threads after their current task. Waits for them, but not forever: a transform may never return."""
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
