"""Fills spans with the blocks that calls need, from their stores, and evicts those that were not read for long. It knows blocks by number, and no format.

Loading, sharing, holding and evicting follow keeping.py. The rules of the requests:

- ranges of one file are merged where the gap is small; ranges of different files are asked for together
- at most MAX_REQUESTS are in flight
- a block is shown only after its bytes are there and their hashes were looked at; one whose hash is wrong is asked for once more
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from atlas_ds.errors import TruncatedError
from atlas_ds.forks import Lock
from atlas_ds.store.keeping import Keeping
from atlas_ds.store.span import RamSpan
from atlas_ds.store.store import Bytes, Store, Want

MAX_GAP = 16 << 10  # bytes between two ranges that are merged to one request, and at most a tenth of it
MAX_REQUEST = 8 << 20  # bytes of merged ranges; one block may be larger
MAX_REQUESTS = 256  # in flight
LOOK = 0.1  # seconds after which one who waits for permits looks again


class Block(NamedTuple):
    """A block of a span. It is given by its number there."""

    span: RamSpan
    number: int

    def __str__(self) -> str:
        return f"{self.span.place}: block {self.number}"


class Request(NamedTuple):
    """One range of a file, and the blocks in it."""

    want: Want
    blocks: list[Block]


class Filling(Keeping[Block]):
    """The blocks of any number of spans, up to `limit` bytes. check: whether hashes are looked at when a block arrives."""

    def __init__(self, limit: int, *, check: bool = True) -> None:
        super().__init__(limit)
        self._check = check
        self._permits = Permits(MAX_REQUESTS)

    def closed(self, span: RamSpan) -> None:
        """A span is not used any more, by nobody."""
        self.forget([Block(span, number) for number in (*span.there(), *span.leaving)])

    # --- what keeping.py asks for ---

    def size(self, block: Block) -> int:
        return block.span.range_of(block.number)[1]

    def begin(self, block: Block) -> None:
        block.span.coming.add(block.number)

    def give_up(self, block: Block) -> None:
        block.span.coming.discard(block.number)

    def show(self, block: Block) -> None:
        block.span.states.set(block.number)
        block.span.coming.discard(block.number)
        block.span.leaving.discard(block.number)

    def hide(self, block: Block) -> None:
        block.span.leaving.add(block.number)
        block.span.states.clear(block.number)

    def take_used(self, block: Block) -> bool:
        return block.span.states.take_used(block.number)

    def drop(self, block: Block) -> None:
        block.span.leaving.discard(block.number)
        block.span.give_back(block.number)

    def load(self, blocks: list[Block]) -> Iterator[tuple[Block, Exception | None]]:
        wrong: list[Block] = []
        for block, error in self._ask(blocks):
            if error is None and self._check and not block.span.check(block.number):
                wrong.append(block)
            else:
                yield block, error
        for block, error in self._ask(wrong):
            if error is None:
                block.span.check(block.number)  # what is right is noted; reading the rest raises, and says where
            yield block, error

    def _ask(self, blocks: list[Block]) -> Iterator[tuple[Block, Exception | None]]:
        """Stores the bytes of blocks in their spans, as they arrive."""
        for request, answer in self._answers(merged(blocks)):
            for span, number in request.blocks:
                if isinstance(answer, Exception):
                    yield Block(span, number), span.explain(answer)
                    continue
                offset, size = span.range_of(number)
                begin = offset - request.want.offset
                span.store_bytes(offset, memoryview(answer).cast("B")[begin : begin + size])
                span.forget(number)
                yield Block(span, number), None

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
                    count = self._permits.take(call, len(waiting))
                    part, waiting = waiting[:count], waiting[count:]
                    for number, answer in store.read_ranges([request.want for request in part]):
                        yield part[number], measured(answer, part[number].want, store)
                finally:
                    call.permits = 0  # first, and without a call: an interrupt may come at the next one
                    self._permits.given()

    def after_fork(self) -> None:
        super().after_fork()
        self._permits = Permits(MAX_REQUESTS)


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

    def take(self, call: Call, wanted: int) -> int:
        """Waits until one is free, and gives a call as many as are, up to `wanted`. Returns how many."""
        while True:
            with self._lock.held:
                having = [(back, one.permits) for back in self._calls if (one := back()) is not None and one.permits]
                self._calls = [back for back, _ in having]
                free = self._count - sum(permits for _, permits in having)
                if free > 0:
                    self._calls.append(weakref.ref(call))
                    call.permits = min(wanted, free)
                    return call.permits
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
