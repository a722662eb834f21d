"""One event loop in a thread of its own, for all requests of a process. A forked child starts another."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from atlas_ds.errors import StoreError
from atlas_ds.forks import Lock, in_child

T = TypeVar("T")


class Loop:
    """Runs coroutines for threads that wait for them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        in_child(self)

    def after_fork(self) -> None:
        self._loop = None

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock.held:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                threading.Thread(target=loop.run_forever, name="atlas-requests", daemon=True).start()
                self._loop = loop
            return self._loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for one coroutine. If the wait is interrupted (Ctrl-C), it is cancelled."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
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
