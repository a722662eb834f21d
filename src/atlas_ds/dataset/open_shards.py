"""Which shards of a dataset are open: opened together when they are needed, closed when they were not read for long, and their blocks filled.

A dataset of few mapped files needs none of it. It reads no rows; who shares loads and who waits is in store/keeping.py.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence

from atlas_ds import _core
from atlas_ds.store.filling import Filling
from atlas_ds.store.keeping import Hold, Keeping
from atlas_ds.store.requests import Block

MAX_OPEN = 4096  # shards: the system has 65,530 mappings for a process (vm.max_map_count)
Needs = Callable[[], list[tuple[int, int]]]
Open = Callable[[Sequence[int]], list[_core.Shard | Exception]]


class OpenShards(Keeping[int]):
    """The keeper of a shard_set (see _core.ShardSet). filling: of the blocks of its shards; None: they are mapped."""

    def __init__(self, open: Open, filling: Filling | None) -> None:
        super().__init__(MAX_OPEN, None if filling is None else filling.pins)  # a reader is in a shard and in its blocks
        self._open = open
        self.filling = filling
        self.drops = filling is not None
        self.shared = filling is not None and filling.cache is not None  # blocks stay where they are, though nobody holds them
        self._set: Callable[[], _core.ShardSet | None] = lambda: None  # weak: the set has this keeper

    def enter(self, shard_set: _core.ShardSet, numbers: list[int], needs: Needs | None, alone: bool) -> Kept:
        """Opens shards, which stay until the exit() of what is returned, and makes the blocks present that needs() names then. Those in memory of this
        process stay, too; alone: all of them do."""
        self._set = weakref.ref(shard_set)
        kept = Kept(self.hold(numbers))
        if self.filling is None or needs is None:
            return kept
        try:
            kept.blocks = self.filling.enter(self._blocks(shard_set, numbers, needs), alone=alone)
        except BaseException:
            kept.exit()
            raise
        return kept

    def found(self, reads: int) -> None:
        """So many reads will find their blocks there."""
        if self.filling is not None:
            self.filling.requests.traffic.found(reads)

    def mend(self, shard_set: _core.ShardSet, numbers: list[int], needs: Needs) -> bool:
        """Whether blocks that needs() names were damaged in a cache, and are right now."""
        if self.filling is None or self.filling.cache is None:
            return False
        kept = Kept(self.hold(numbers))
        try:
            return self.filling.mend(self._blocks(shard_set, numbers, needs))
        finally:
            kept.exit()

    def _blocks(self, shard_set: _core.ShardSet, numbers: list[int], needs: Needs) -> list[Block]:
        spans = {number: shard_set.shard(number).holes for number in numbers}
        return [Block(spans[k], number) for k, number in needs()]

    # --- what keeping.py asks for ---

    @property
    def _shards(self) -> _core.ShardSet:
        found = self._set()
        assert found is not None  # who calls has it
        return found

    def size(self, number: int) -> int:
        return 1

    def begin(self, number: int) -> None: ...

    def give_up(self, number: int) -> None: ...

    def load(self, numbers: list[int]) -> Iterator[tuple[int, Exception | None]]:
        for number, shard in zip(numbers, self._open(numbers), strict=True):
            if isinstance(shard, Exception):
                yield number, shard
            else:
                self._shards.put(number, shard)
                yield number, None

    def show(self, number: int) -> None:
        if (found := self._set()) is not None:  # after a fork it may be gone
            found.states.set(number)

    def hide(self, number: int) -> None:
        if (found := self._set()) is not None:
            found.states.clear(number)

    def take_used(self, number: int) -> bool:
        return self._shards.states.take_used(number)

    def drop(self, number: int) -> None:
        shard = self._shards.take(number)
        if self.filling is not None:
            self.filling.closed(shard.holes)


def make_keeper(open: Open, filling: Filling | None, count: int) -> OpenShards | None:
    """The keeper of `count` shards; None where none is needed: their blocks are always there, and all of them can stay open."""
    return OpenShards(open, filling) if filling is not None or count > MAX_OPEN else None


class Kept:
    """Shards, and blocks in them, that stay until exit()."""

    __slots__ = ("_shards", "blocks")

    def __init__(self, shards: Hold[int]) -> None:
        self._shards = shards
        self.blocks: Hold[Block] | None = None

    @property
    def size(self) -> int:
        """Bytes of the blocks, stored."""
        return 0 if self.blocks is None else self.blocks.size

    def exit(self) -> None:
        try:
            if self.blocks is not None:
                self.blocks.exit()
        finally:
            self._shards.exit()
