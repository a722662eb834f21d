"""Asks stores for blocks of spans, and looks at their hashes. It keeps nothing; who does is in filling.py and cache.py.

- ranges of one file are merged where the gap is small; ranges of different files are asked for together
- at most MAX_REQUESTS are in flight, and about so many times REQUEST_BYTES
- a block whose hash is wrong is asked for once more
"""

from __future__ import annotations

import threading
import time
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from atlas_ds.errors import TruncatedError
from atlas_ds.forks import Lock, in_child
from atlas_ds.store.store import Bytes, Store, Want

if TYPE_CHECKING:
    from atlas_ds.store.span import Span

MAX_GAP = 16 << 10  # bytes between two ranges that are merged to one request, and at most a tenth of it
MAX_REQUEST = 8 << 20  # bytes of merged ranges; one block may be larger
MAX_REQUESTS = 256  # in flight
REQUEST_BYTES = 256 << 10  # for which a request takes a permit
LOOK = 0.1  # seconds after which one who waits for permits looks again


class Block(NamedTuple):
    """A block of a span. It is given by its number there."""

    span: Span
    number: int

    def __str__(self) -> str:
        return f"{self.span.place}: block {self.number}"


class Request(NamedTuple):
    """One range of a file, and the blocks in it."""

    want: Want
    blocks: list[Block]


Put = Callable[[Block, Bytes], None]
"""Puts the bytes of a block where they belong."""


class Traffic:
    """What was asked for so far: requests, their bytes, the blocks in them, and the seconds in which calls waited for them.

    hits: reads whose block was there when it was asked for ahead of them. busy: seconds in which at least one request was under way.
    """

    def __init__(self) -> None:
        self.requests = self.bytes = self.blocks = self.hits = 0
        self.waited = self.busy = 0.0
        self._lock = Lock()
        self._calls = 0
        self._since = 0.0

    def begin(self) -> float:
        now = time.perf_counter()
        with self._lock.held:
            if self._calls == 0:
                self._since = now
            self._calls += 1
        return now

    def end(self, began: float) -> None:
        now = time.perf_counter()
        with self._lock.held:
            self.waited += now - began
            self._calls -= 1
            if self._calls == 0:
                self.busy += now - self._since

    def busy_until_now(self) -> float:
        with self._lock.held:
            return self.busy + (time.perf_counter() - self._since if self._calls else 0.0)

    def came(self, request: Request, size: int) -> None:
        with self._lock.held:
            self.requests += 1
            self.bytes += size
            self.blocks += len(request.blocks)

    def found(self, reads: int) -> None:
        with self._lock.held:
            self.hits += reads


class Requests:
    """check: whether hashes are looked at when a block arrives."""

    def __init__(self, *, check: bool = True) -> None:
        self._check = check
        self._permits = Permits(MAX_REQUESTS)
        self.traffic = Traffic()
        in_child(self)

    def after_fork(self) -> None:
        self._permits = Permits(MAX_REQUESTS)
        self.traffic = Traffic()

    def load(self, blocks: Sequence[Block], put: Put) -> Iterator[tuple[Block, Exception | None, bool]]:
        """Asks for blocks, and puts each as it arrives; yields it then, with the error that it failed with, if it did, and whether its hashes are right.

        A block whose hashes are wrong was asked for twice.
        """
        began = self.traffic.begin()
        try:
            wrong: list[Block] = []
            for block, error in self._ask(blocks, put):
                if error is None and self._check and not block.span.check(block.number):
                    wrong.append(block)
                else:
                    yield block, error, True
            for block, error in self._ask(wrong, put):
                yield block, error, error is not None or block.span.check(block.number)
        finally:
            self.traffic.end(began)

    def _ask(self, blocks: Sequence[Block], put: Put) -> Iterator[tuple[Block, Exception | None]]:
        for request, answer in self._answers(merged(blocks)):
            if not isinstance(answer, Exception):
                self.traffic.came(request, request.want.size)
            for block in request.blocks:
                span, number = block
                if isinstance(answer, Exception):
                    yield block, span.explain(answer)
                    continue
                offset, size = span.range_of(number)
                begin = offset - request.want.offset
                put(block, memoryview(answer).cast("B")[begin : begin + size])
                span.forget(number)
                yield block, None

    def _answers(self, requests: list[Request]) -> Iterator[tuple[Request, Bytes | Exception]]:
        """Asks each store for all that it has, as far as there are permits."""
        by_store: dict[int, tuple[Store, list[Request]]] = {}
        for request in requests:
            store = request.blocks[0].span.store
            by_store.setdefault(id(store), (store, []))[1].append(request)
        for store, waiting in by_store.values():
            while waiting:
                call = Call()
                try:
                    count = self._permits.take(call, [-(-request.want.size // REQUEST_BYTES) for request in waiting])
                    part, waiting = waiting[:count], waiting[count:]
                    for number, answer in store.read_ranges([request.want for request in part]):
                        yield part[number], measured(answer, part[number].want, store)
                finally:
                    call.permits = 0  # first, and without a call: an interrupt may come at the next one
                    self._permits.given()


class Call:
    """Who has permits: so many, until it says 0 or is gone."""

    __slots__ = ("__weakref__", "permits")

    def __init__(self) -> None:
        self.permits = 0


class Permits:
    """At most so many at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: list[weakref.ref[Call]] = []
        self._lock = Lock()
        self._wake = threading.Lock()

    def take(self, call: Call, wanted: Sequence[int]) -> int:
        """Waits until one is free, and gives a call those of its first requests, as far as there are: `wanted` by each, but one is enough to begin
        with. Returns of how many requests."""
        while True:
            with self._lock.held:
                having = [(back, one.permits) for back in self._calls if (one := back()) is not None and one.permits]
                self._calls = [back for back, _ in having]
                free = self._count - sum(permits for _, permits in having)
                if free > 0:
                    self._calls.append(weakref.ref(call))
                    sums = list(accumulate(wanted))
                    count = max(1, bisect_right(sums, free))
                    call.permits = max(1, sums[count - 1])
                    return count
            self._wake.acquire(timeout=LOOK)

    def given(self) -> None:
        """Wakes one who waits, after a call has set its permits to 0."""
        with self._lock.held:
            if self._wake.locked():
                self._wake.release()


def merged(blocks: Sequence[Block]) -> list[Request]:
    """The requests for some blocks: those of one file that nearly touch are one range."""
    requests: list[Request] = []
    for block in sorted(blocks, key=lambda block: (id(block.span), block.span.range_of(block.number))):
        offset, size = block.span.range_of(block.number)
        last = requests[-1] if requests else None
        if last is not None and last.blocks[0].span is block.span:
            start, end = last.want.offset, last.want.offset + last.want.size
            length = max(end, offset + size) - start
            if offset - end <= min(MAX_GAP, length // 10) and length <= MAX_REQUEST:
                requests[-1] = Request(block.span.want(start, length), [*last.blocks, block])
                continue
        requests.append(Request(block.span.want(offset, size), [block]))
    return requests


def measured(answer: Bytes | Exception, want: Want, store: Store) -> Bytes | Exception:
    """The answer, or the error that it is not as long as was asked for."""
    if isinstance(answer, Exception) or memoryview(answer).nbytes == want.size:
        return answer
    why = f"byte {want.offset}: {want.size:,} bytes were asked for, {memoryview(answer).nbytes:,} came"
    return TruncatedError(f"{store.url}: {want.name}: {why}; the file was truncated or replaced: open the dataset again")
