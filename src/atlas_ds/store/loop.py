"""One event loop in a thread of its own, for all requests of a process. A forked child starts another.

When the process ends, requests are cancelled, and the threads of the client are waited for: one that enters Python, or returns to it, while the
interpreter is being finalized makes the process abort (Python before 3.14 ends the thread, through frames that cannot be unwound).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from atlas_ds.errors import StoreError
from atlas_ds.forks import Lock, in_child

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
PATIENCE = 5.0  # seconds at the end of the process
PAUSE = 0.005


class Watched(asyncio.SelectorEventLoop):
    """Knows which threads are telling it something: they let others run in the middle of that."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: set[object] = set()

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        me = object()
        self.inside.add(me)
        try:
            return super().call_soon_threadsafe(callback, *args, context=context)
        finally:
            self.inside.discard(me)


class Loop:
    """Runs coroutines for threads that wait for them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: Watched | None = None
        in_child(self)
        atexit.register(self.end)

    def after_fork(self) -> None:
        self._loop = None

    def end(self) -> None:
        """Cancels what is under way, and waits until the client's threads have left Python."""
        found = self._loop
        if found is None:
            return

        async def cancel() -> int:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=PATIENCE) if tasks else None
            return len(tasks)

        end = time.monotonic() + PATIENCE
        with contextlib.suppress(TimeoutError):
            if asyncio.run_coroutine_threadsafe(cancel(), found).result(PATIENCE):
                time.sleep(10 * PAUSE)  # the client hears of it in threads of its own
        while found.inside and time.monotonic() < end:
            time.sleep(PAUSE)
        time.sleep(PAUSE)  # from the loop back to where the thread came from

    def _running(self) -> Watched:
        with self._lock.held:
            if self._loop is None:
                loop = Watched()
                threading.Thread(target=loop.run_forever, name="atlas-requests", daemon=True).start()
                self._loop = loop
            return self._loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for one coroutine. If the wait is interrupted (Ctrl-C), it is cancelled.

        StoreError in the loop's own thread, where a garbage collection may release a writer: it would wait for itself.
        """
        running = self._running()
        if running is asyncio._get_running_loop():
            work.close()
            raise StoreError("a request was made in the thread that makes the requests, which would wait for itself for ever")
        future = asyncio.run_coroutine_threadsafe(work, running)
        try:
            return future.result()
        finally:
            future.cancel()

    def begin(self, work: Coroutine[Any, Any, T], done: Callable[[T | Exception], None]) -> None:
        """Runs a coroutine, and calls done with its result or error, in the loop's thread."""

        async def run() -> None:
            try:
                result: T | Exception = await work
            except Exception as error:
                result = error
            done(result)

        asyncio.run_coroutine_threadsafe(run(), self._running())

    def each(self, works: Sequence[Callable[[], Awaitable[T]]]) -> Iterator[tuple[int, T | Exception]]:
        """Runs coroutines together; yields the number of each, and its result or error, as they end. What is left is cancelled at the end."""
        ended: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

        async def one(number: int) -> None:
            try:
                result: T | Exception = await works[number]()
            except Exception as error:
                result = error
            except BaseException as error:  # somebody waits for it
                ended.put((number, StoreError(f"a request was stopped: {error!r}")))
                raise
            ended.put((number, result))

        async def together() -> None:
            await asyncio.gather(*map(one, range(len(works))))

        future = asyncio.run_coroutine_threadsafe(together(), self._running())
        try:
            for _ in works:
                yield ended.get()
        finally:
            future.cancel()


loop = Loop()
