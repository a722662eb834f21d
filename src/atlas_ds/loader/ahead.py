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
from atlas_ds.forks import Lock
from atlas_ds.loader.pipeline import Pipeline
from atlas_ds.order import EpochPlan, Window
from atlas_ds.store.filling import Filling

RECENT = 8  # pieces whose sizes say how large the next are: those at the beginning open many windows
THREADS = 16  # that wait for the store: each for a piece of work


class Ahead:
    """Of the pieces of an epoch, `group` steps each. limit: bytes of blocks that were asked for and not read yet, about.

    In a window order whole chunks are asked for, when the first of their rows is near.
    """

    def __init__(self, dataset: Any, plan: EpochPlan, group: int, pieces: int, limit: int) -> None:
        self._dataset, self._plan, self._group = dataset, plan, group
        order = plan.order
        self._starts = order.starts if isinstance(order, Window) else None
        self._most = order.lanes * (order.window + 1) if isinstance(order, Window) else 0
        self._chunks: OrderedDict[int, None] = OrderedDict()  # asked for
        self._lock = Lock()
        self._pipeline = Pipeline(self._ask, pieces, threads=min(THREADS, pieces), limit=limit, timeout=float("inf"), inline=False, recent=RECENT)

    def _ask(self, number: int) -> tuple[list[Any], int]:
        """What keeps the blocks of a piece, and their bytes."""
        first = number * self._group
        kept: list[Any] = []
        with contextlib.suppress(Exception):
            rows = self._plan.rows_of(first, min(first + self._group, self._plan.steps))[0]
            kept = asked(self._dataset, rows if self._starts is None else self._of_chunks(rows, self._starts))
        return kept, max(1, sum(one.size for one in kept))

    def _of_chunks(self, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """All rows of the chunks of these rows that were not asked for lately."""
        fresh = []
        with self._lock.held:
            for chunk in np.unique(np.searchsorted(starts, rows, side="right") - 1).tolist():
                if chunk in self._chunks:
                    self._chunks.move_to_end(chunk)
                    continue
                self._chunks[chunk] = None
                fresh.append(np.arange(starts[chunk], starts[chunk + 1]))
            while len(self._chunks) > self._most:
                self._chunks.popitem(last=False)
        return np.concatenate(fresh) if fresh else np.empty(0, np.int64)

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
    return []


def far_fillings(dataset: Any) -> list[Filling]:
    """What fills the blocks of a dataset, or of the datasets in a concat, from a store at a URL."""
    if isinstance(dataset, Concat):
        return [one for part in dataset.datasets for one in far_fillings(part)]
    keeper = dataset.shard_set.keeper if isinstance(dataset, AtlasDataset) else None
    return [keeper.filling] if keeper is not None and keeper.filling is not None and keeper.filling.store is not None else []
