"""The rows of a mix: mix_order.py says which dataset has its turn; the order of that dataset says which of its rows is next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas_ds.forks import Lock
from atlas_ds.order.epoch import OrderSource, first_state, order_of
from atlas_ds.order.mix_order import MixOrder, laps, mix_of
from atlas_ds.order.options import Shuffle
from atlas_ds.order.orders import Order, Rows
from atlas_ds.order.state import OrderState


@dataclass(frozen=True, slots=True)
class Parts:
    """The datasets of a mix. Row r of part i is row starts[i] + r of the mix. length: positions of an epoch."""

    sources: tuple[OrderSource, ...]
    shuffle: Shuffle
    length: int

    @property
    def starts(self) -> Rows:
        return np.cumsum([0, *(source.rows for source in self.sources)])

    def order(self, state: OrderState) -> Order:
        """The order of the state's epoch."""
        assert state.mix is not None
        return MixedRows(self, mix_of(state.seed, state.mix), state.seed, state.epoch)


class MixedRows:
    """One epoch of a mix: positions epoch * length and up of an endless sequence. Many threads may call `take`."""

    def __init__(self, parts: Parts, mix: MixOrder, seed: int, epoch: int) -> None:
        self.length = parts.length
        self._parts, self._mix, self._seed, self._epoch = parts, mix, seed, epoch
        self._starts = parts.starts
        self._orders: dict[int, tuple[int, Order]] = {}  # by part: its epoch and the order of that epoch
        self._lock = Lock()

    def take(self, start: int, count: int, step: int = 1) -> Rows:
        """Row numbers at positions start, start + step, ...: int64 of shape (count,). IndexError past the end."""
        if start < 0 or count < 0 or step < 1 or (count > 0 and start + (count - 1) * step >= self.length):
            raise IndexError(f"{count} positions from {start}, {step} apart, of {self.length}")
        with self._lock.held:
            datasets, turns = self._mix.take(self._epoch * self.length + start, (count - 1) * step + 1 if count else 0)
            datasets, turns = datasets[::step], turns[::step]
            rows = np.empty(count, np.int64)
            for part in np.unique(datasets).tolist():
                where = np.flatnonzero(datasets == part)
                rows[where] = self._rows(part, turns[where]) + self._starts[part]
        return rows

    def _rows(self, part: int, turns: Rows) -> Rows:
        epochs, within = laps(turns, self._parts.sources[part].rows)
        out = np.empty(len(turns), np.int64)
        for epoch in np.unique(epochs).tolist():
            where = epochs == epoch
            at = within[where]  # ascending
            out[where] = self._order(part, epoch).take(int(at[0]), int(at[-1] - at[0]) + 1)[at - at[0]]
        return out

    def _order(self, part: int, epoch: int) -> Order:
        held = self._orders.get(part)
        if held is not None and held[0] == epoch:
            return held[1]
        source = self._parts.sources[part]
        state = first_state(source, 1, shuffle=self._parts.shuffle, seed=self._seed, substream=part + 1, last_batch="drop", lanes=None, window=None)
        order = order_of(source, state.at_epoch(epoch))
        self._orders[part] = epoch, order
        return order


def segments_of(weights: Sequence[Any]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """The validated weights of a mix, in effect from position 0."""
    return MixOrder(weights).segments
