"""Asks for the blocks of an epoch before they are read, where they come from a store: which rows follow is known, so each is asked for once, early enough.

It reads nothing and fails nothing: a block that does not come is asked for again by who reads it, who then raises.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import Any

import numpy as np

from atlas_ds.dataset.concat import Concat
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.layout import stored_row_bytes
from atlas_ds.dataset.sequence import Views
from atlas_ds.loader.pipeline import Pipeline
from atlas_ds.order import EpochPlan, Window
from atlas_ds.shard.info import ShardInfo
from atlas_ds.store.filling import Filling

THREADS = 6  # that wait for the store: each for a piece of work
AHEAD = 128 << 20  # bytes, where a cache on a disk takes them


class Ahead:
    """Of the pieces of an epoch, `group` steps each. limit: bytes of blocks that were asked for and not read yet, about, where they lie in memory.

    In a window order whole chunks are asked for, when the first of their rows is near. Lanes begin new chunks together, so pieces differ much: each is
    weighed before it is asked for.
    """

    def __init__(self, dataset: Any, plan: EpochPlan, group: int, pieces: int, limit: int) -> None:
        self._dataset, self._plan, self._group = dataset, plan, group
        order, weigh = plan.order, None
        if isinstance(order, Window):
            self._starts, self._most, weigh = order.starts, order.lanes * (order.window + 1), self._weigh
            self._row_bytes = stored_row_bytes(shards_of(dataset))
            self._chunks: OrderedDict[int, None] = OrderedDict()  # asked for
            self._rows: dict[int, np.ndarray] = {}  # of pieces that were weighed
            limit = min([max(limit, min(AHEAD, one.cache_room() // 4)) for one in far_fillings(dataset)], default=limit)
        self._pipeline = Pipeline(self._ask, pieces, threads=min(THREADS, pieces), limit=limit, timeout=float("inf"), inline=False, weigh=weigh)

    def _rows_of(self, number: int) -> np.ndarray:
        first = number * self._group
        return self._plan.rows_of(first, min(first + self._group, self._plan.steps))[0]

    def _weigh(self, number: int) -> int:
        """Finds all rows of the chunks of a piece that were not asked for lately; returns their bytes."""
        fresh = [np.empty(0, np.int64)]
        with contextlib.suppress(Exception):
            for chunk in np.unique(np.searchsorted(self._starts, self._rows_of(number), side="right") - 1).tolist():
                if chunk in self._chunks:
                    self._chunks.move_to_end(chunk)
                    continue
                self._chunks[chunk] = None
                fresh.append(np.arange(self._starts[chunk], self._starts[chunk + 1]))
            while len(self._chunks) > self._most:
                self._chunks.popitem(last=False)
        rows = self._rows[number] = np.concatenate(fresh)
        return int(len(rows) * self._row_bytes)

    def _ask(self, number: int) -> tuple[list[Any], int]:
        """What keeps the blocks of a piece, and their bytes."""
        kept: list[Any] = []
        with contextlib.suppress(Exception):
            kept = asked(self._dataset, self._rows.pop(number) if isinstance(self._plan.order, Window) else self._rows_of(number))
        return kept, max(1, sum(one.size for one in kept))

    def wait(self, number: int) -> list[Any]:
        """Waits until the blocks of a piece are there, or failed to come. exit() of each lets them go. Call it once for each piece."""
        found: list[Any] = self._pipeline.get(number)
        return found

    def close(self) -> None:
        self._pipeline.close()


def asked(dataset: Any, at: np.ndarray) -> list[Any]:
    """Makes the blocks of some positions present; they stay until the exit() of what is returned."""
    if isinstance(dataset, AtlasDataset):
        kept = dataset.shard_set.ask(dataset.projection, dataset.rows_at(at))
        return [] if kept is None else [kept]
    if isinstance(dataset, Concat):
        return [kept for k, _, rows in dataset._shares(at) for kept in asked(dataset.datasets[k], rows)]
    return dataset._ask(at) if isinstance(dataset, Views) else []


def shards_of(dataset: Any) -> list[ShardInfo]:
    if isinstance(dataset, Concat):
        return [shard for part in dataset.datasets for shard in shards_of(part)]
    return list(dataset.shards) if isinstance(dataset, AtlasDataset) else []


def far_fillings(dataset: Any) -> list[Filling]:
    """What fills the blocks of a dataset, or of the datasets in a concat, from a store at a URL."""
    if isinstance(dataset, Concat):
        return [one for part in dataset.datasets for one in far_fillings(part)]
    if not isinstance(dataset, AtlasDataset):
        return dataset._fillings() if isinstance(dataset, Views) else []
    keeper = dataset.shard_set.keeper
    return [keeper.filling] if keeper is not None and keeper.filling is not None and keeper.filling.store is not None else []
