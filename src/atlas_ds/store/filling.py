"""Fills spans with the blocks that calls need, and evicts those that were not read for long. It knows blocks by number, and no format.

A span with a mirror is its cache's (cache.py), until that has no room or its files are gone. The others lie in memory of this process: loading,
sharing, holding and evicting those follow keeping.py. A block is shown only after its bytes are there and their hashes were looked at.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from atlas_ds.errors import StoreError
from atlas_ds.store.cache_place import CachePlace
from atlas_ds.store.keeping import Hold, Keeping
from atlas_ds.store.mirror import MirrorFailed
from atlas_ds.store.requests import Block, Requests
from atlas_ds.store.span import Span
from atlas_ds.store.store import Bytes, FileInfo, Store

if TYPE_CHECKING:  # who reads no URLs need not wait for what it imports
    from atlas_ds.store.cache import Cache

TRIES = 8  # to find a block present after it was fetched, which others may evict in between; and to fetch where others remove the cache
Explain = Callable[[Exception], Exception]


class Filling(Keeping[Block]):
    """The blocks of any number of spans, up to `limit` bytes in memory of this process.

    check: whether hashes are looked at when a block arrives. cache: where mirrors are, and how much they may take there; None: nowhere.
    store: they come from there; None: from a disk, where a request takes no time.
    """

    def __init__(self, limit: int, *, check: bool = True, cache: Cache | None = None, cache_limit: int | None = None, store: Any = None) -> None:
        super().__init__(limit, None if cache is None else cache.pins)
        self.requests = Requests(check=check or cache is not None)
        self.cache, self._cache_limit = cache, cache_limit
        self._told = False
        self.store = store

    def counts(self) -> dict[str, float]:
        """What was asked for so far, by this process."""
        traffic = self.requests.traffic
        return {
            "requests": traffic.requests,
            "bytes": traffic.bytes,
            "blocks": traffic.blocks,
            "hits": traffic.hits,
            "busy": traffic.busy_until_now(),
            "waited": traffic.waited,
            "retries": getattr(self.store, "retries", 0),
            "evictions": 0 if self.cache is None else self.cache.evictions,
        }

    def cache_room(self) -> int:
        """Bytes that the cache may take; 0 if it is gone."""
        try:
            return 0 if self.cache is None else self.cache.limit_now(self._cache_limit)
        except MirrorFailed:
            return 0

    def span(self, store: Store, file: FileInfo, place: str, explain: Explain, version: str = "", most: int = 0, *, hashed: bool = False) -> Span:
        """The span of a file. version: what tells it for ever from others of its name; "": nothing does. most: blocks that it may have. hashed: its
        mirror keeps their hashes, since the file has none."""
        mirror = None
        if self.cache is not None and version:
            try:
                mirror = self.cache.mirror(place, version, file.size, most, self._cache_limit, hashed=hashed)
            except MirrorFailed as error:
                self._tell(error)
        span = Span(store, file, place, explain, mirror)
        if mirror is not None and self.cache is not None:
            self.cache.add(span)
        return span

    def keep(self, span: Span, offset: int, data: Bytes) -> None:
        """Stores bytes outside the blocks of a span."""
        if span.mirror is not None and self.cache is not None:
            try:
                self.cache.keep(span.mirror, offset, data, self._cache_limit)
            except MirrorFailed as error:
                self._tell(error)
                span.move(None, self.pins)
        span.keep(offset, data)

    def enter(self, blocks: Sequence[Block], *, alone: bool = False) -> Hold[Block]:
        """Makes blocks present; those in memory of this process stay until the exit() of what is returned. alone: all are there."""
        mirrored = [block for block in blocks if block.span.mirror is not None]
        if mirrored and alone:
            self._leave(mirrored)
        elif mirrored:
            assert self.cache is not None
            try:
                self._fill(self.cache, mirrored)
            except MirrorFailed as error:
                if not error.quiet:
                    self._tell(error)
                self._leave(mirrored)
        hold = self.hold([block for block in blocks if block.span.settled() is None])
        hold.size = sum(map(self.size, blocks))
        return hold

    def read(self, block: Block) -> bytes:
        """A copy of a block of a file without hashes. If it is not there, or wrong in its mirror, it is fetched."""
        data = block.span.copy(block.number, self.pins)
        for tries in range(TRIES):
            if data is not None:
                return data
            hold = self.enter([block], alone=tries == TRIES - 1)
            try:
                data = block.span.copy(block.number, self.pins)
            finally:
                hold.exit()
        if data is None:
            raise StoreError(f"{block}: was fetched {TRIES} times, and could not be kept until it was read")
        return data

    def _fill(self, cache: Cache, blocks: Sequence[Block]) -> None:
        """Fills mirrors. Those whose files were removed are made anew; if these are removed again and again, MirrorFailed."""
        for tries in range(TRIES):
            try:
                if tries:
                    self._make_again(cache, {block.span for block in blocks})
                cache.fill(blocks, self.requests, self._cache_limit)
                return
            except MirrorFailed as error:
                if not error.gone or tries == TRIES - 1:
                    raise

    def _make_again(self, cache: Cache, spans: Iterable[Span]) -> None:
        for span in spans:
            old = span.mirror
            if old is not None and not old.is_there():
                mirror = cache.again(old, self._cache_limit)
                for offset, data in span.stays():
                    cache.keep(mirror, offset, data, self._cache_limit)
                span.move(mirror, self.pins)

    def _leave(self, blocks: Sequence[Block]) -> None:
        for span in {block.span for block in blocks}:
            span.move(None, self.pins)

    def _tell(self, error: MirrorFailed) -> None:
        if not self._told:
            self._told = True
            warnings.warn(f"{error}; this process goes on without it, and keeps up to {self.limit:,} bytes of what it reads in memory", stacklevel=2)

    def mend(self, blocks: Sequence[Block]) -> bool:
        """Fetches blocks of mirrors anew whose hashes are wrong. Whether all of them are right then, and one was wrong."""
        wrong = [block for block in blocks if block.span.mirror is not None and not block.span.check(block.number)]
        if not wrong:
            return False
        for block in wrong:
            block.span.states.clear(block.number)
        self.enter(wrong).exit()
        return all(block.span.check(block.number) for block in wrong)

    def closed(self, span: Span) -> None:
        """A span is not used any more, by nobody."""
        if span.mirror is None:
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
        for block, error, _ in self.requests.load(blocks, put_in_memory):
            yield block, error  # what is wrong is shown, too: reading its good pages works, the others raise and say where


def put_in_memory(block: Block, data: Bytes) -> None:
    block.span.store_bytes(block.span.range_of(block.number)[0], data)


def make_filling(memory: int, place: CachePlace | None, *, check: bool = True, store: Any = None) -> Filling:
    """place: of the cache that a user wants; None: none."""
    cache, limit = (None, None) if place is None else (place.open(), place.limit)
    return Filling(memory, check=check, cache=cache, cache_limit=limit, store=store)
