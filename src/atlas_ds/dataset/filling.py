"""io="pread": fills anonymous spans with the blocks that a call needs, pins them while it runs, and evicts the least recently used."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from atlas_ds import _core
from atlas_ds._core.records import GroupBlocks
from atlas_ds.store.span import AnonymousSpan

Key = tuple[int, int]  # shard, block in the index
PAGE = os.sysconf("SC_PAGESIZE")


class Filling:
    """The guard of a shard_set (see _core.ShardSet): enter() makes blocks present and pins them, exit() unpins them.

    limit: bytes of blocks that are kept. gone: returns the error to raise if the file of shard k no longer exists.
    """

    def __init__(self, limit: int, gone: Callable[[int], Exception]) -> None:
        self._limit = limit
        self._gone = gone
        self._held = 0
        self._shards: dict[int, tuple[_core.Shard, AnonymousSpan, np.ndarray, dict[int, GroupBlocks], np.ndarray, np.ndarray]] = {}
        self._present: OrderedDict[Key, int] = OrderedDict()  # to its pins
        self._lock = threading.RLock()
        _all.add(self)

    def open(self, k: int, make: Callable[[], tuple[_core.Shard, AnonymousSpan]]) -> _core.Shard:
        """Returns shard k, which make() opens when it is first needed. Threads that race get the same one, whose span is filled."""
        with self._lock:
            if k not in self._shards:
                self._attach(k, *make())
            return self._shards[k][0]

    def _attach(self, k: int, shard: _core.Shard, span: AnonymousSpan) -> None:
        blocks = shard.blocks().copy()
        order = np.argsort(blocks["offset"], kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        groups = {leaf.group: GroupBlocks(leaf.rows_per_block, leaf.first_block) for leaf in shard.leaves}
        self._shards[k] = (shard, span, blocks, groups, order, rank)

    def enter(self, rows: np.ndarray, shard_set: _core.ShardSet, projection: _core.Projection) -> list[Key]:
        """Makes the blocks of some rows of the set present, for the groups that a projection reads, and pins them."""
        with self._lock:
            keys = self._keys(rows, shard_set, projection)
            for key in keys:
                if key in self._present:
                    self._present[key] += 1
                    self._present.move_to_end(key)
            missing = [key for key in keys if key not in self._present]
            done = [key for key in keys if key in self._present]
            try:
                for key in missing:
                    self._load(key)
                    done.append(key)
            except BaseException:
                self.exit(done)
                raise
            return keys

    def _keys(self, rows: np.ndarray, shard_set: _core.ShardSet, projection: _core.Projection) -> list[Key]:
        keys = []
        numbers = shard_set.shard_numbers(rows)
        for k in np.unique(numbers):
            local = rows[numbers == k] - shard_set.first_row(int(k))
            for per, first in shard_set.groups_of(projection, int(k)).values():
                keys += [(int(k), int(b)) for b in np.unique(local // per) + first]
        return keys

    def _load(self, key: Key) -> None:
        _, span, blocks, *_ = self._shards[key[0]]
        block = blocks[key[1]]
        size = int(block["bytes"])
        self._make_room(size)
        try:
            span.fill(int(block["offset"]), size)
        except FileNotFoundError:
            raise self._gone(key[0]) from None
        self._present[key] = 1
        self._held += size

    def _make_room(self, size: int) -> None:
        excess = self._held + size - self._limit
        victims = []
        for key, pins in self._present.items():
            if excess <= 0:
                break
            if pins == 0:
                victims.append(key)
                excess -= int(self._shards[key[0]][2][key[1]]["bytes"])
        for key in victims:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        """Evicts a block, then returns the memory pages that no present block shares to the system."""
        k, number = key
        shard, span, blocks, groups, order, rank = self._shards[k]
        group = next(g for g, (_, first) in sorted(groups.items(), key=lambda item: -item[1][1]) if number >= first)
        del self._present[key]
        shard.forget(group, number - groups[group].first_block)
        start, size = int(blocks[number]["offset"]), int(blocks[number]["bytes"])
        self._held -= size
        at = int(rank[number])
        low, high = start // PAGE * PAGE, -(-(start + size) // PAGE) * PAGE
        if self._shares(k, range(at - 1, -1, -1), low, high) or low < int(blocks[order[0]]["offset"]):  # before the first block: header, schema, dictionaries
            low += PAGE
        if self._shares(k, range(at + 1, len(order)), low, high) or high > shard.footer_offset:
            high -= PAGE
        if low < high:
            span.release(low, high - low)

    def _shares(self, k: int, neighbours: range, low: int, high: int) -> bool:
        """Whether a present block among the neighbours (nearest first; a page may hold many) overlaps the memory pages low .. high."""
        _, _, blocks, _, order, _ = self._shards[k]
        for rank in neighbours:
            number = int(order[rank])
            if int(blocks[number]["offset"]) >= high or int(blocks[number]["offset"]) + int(blocks[number]["bytes"]) <= low:
                return False
            if (k, number) in self._present:
                return True
        return False

    def exit(self, keys: list[Key]) -> None:
        with self._lock:
            for key in keys:
                self._present[key] -= 1
            self._make_room(0)

    def reset_lock(self) -> None:
        """In a forked child, where the thread that may have held the lock does not exist."""
        self._lock = threading.RLock()
        for key in self._present:
            self._present[key] = 0
        self._held = sum(int(self._shards[k][2][number]["bytes"]) for k, number in self._present)  # that thread may have been interrupted between two changes


def _weak_set() -> Any:
    import weakref

    return weakref.WeakSet()


_all: Any = _weak_set()


def _after_fork() -> None:
    for filling in list(_all):
        filling.reset_lock()


os.register_at_fork(after_in_child=_after_fork)
