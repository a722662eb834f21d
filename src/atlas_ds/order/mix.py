"""Mixes of datasets by whole weights: which dataset has its turn, and how far in it. What lies at that place is its own order's affair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, SupportsIndex

import numpy as np

from atlas_ds._core import order as _core
from atlas_ds.order import keys
from atlas_ds.order.orders import Rows

VERSION: Final = 1
MOST: Final = 65_536  # sum of the weights: a block of the mix is a shuffled table
Segment = tuple[int, tuple[int, ...]]
"""The position from which weights hold, and the weights."""


class MixOrder:
    """Positions without end. Of every T = sum(weights) from the start of a segment on, dataset i has exactly weights[i].

    Their slots are a permutation of T, another one for each block of T. A dataset is read on and on: its k-th turn is its position k,
    with no gap and in order, whatever the weights are or become; `laps` says in which epoch of its own that is. Memory is 2 bytes times
    T. Never changes but for a cache: one thread at a time.

    weights: ints >= 0, at least one above, at most 65,536 together. seed: in [0, 2^64).
    """

    __slots__ = ("_slots", "_turns", "seed", "segments")

    def __init__(self, weights: Sequence[SupportsIndex], seed: SupportsIndex = 0) -> None:
        self._begin(keys.word("seed", seed), ((0, checked_weights(weights)),))

    def _begin(self, seed: int, segments: tuple[Segment, ...]) -> None:
        self.seed, self.segments = seed, segments
        self._slots = [_core.MixOrder(np.cumsum(np.array(weights, np.int64)), seed, origin) for origin, weights in segments]
        self._turns = [np.zeros(len(segments[-1][1]), np.int64)]  # of each dataset before each segment
        for number, (origin, _) in enumerate(segments[1:]):
            self._turns.append(self._turns[number] + self._within(number, origin - segments[number][0]))

    def _within(self, number: int, count: int) -> Rows:
        """Turns of each dataset in the first count positions of a segment."""
        weights = np.zeros(len(self._turns[0]), np.int64)
        own = self.segments[number][1]
        weights[: len(own)] = own
        blocks, rest = divmod(count, sum(own))
        datasets, _ = self._slots[number].take(blocks * sum(own), rest)
        return blocks * weights + np.bincount(datasets, minlength=len(weights))

    def counts(self, position: int) -> Rows:
        """Turns that each dataset had before the position: int64 of shape (datasets,)."""
        number = self._segment(position)
        return self._turns[number] + self._within(number, position - self.segments[number][0])

    def _segment(self, position: int) -> int:
        if position < 0:
            raise IndexError(f"position {position}")
        return max(number for number, (origin, _) in enumerate(self.segments) if origin <= position)

    def take(self, start: int, count: int) -> tuple[Rows, Rows]:
        """(dataset, position within the dataset) at positions start, start + 1, ...: two int64 arrays of shape (count,)."""
        parts = []
        number, at, stop = self._segment(start), start, start + count
        while True:
            origin = self.segments[number][0]
            end = stop if number + 1 == len(self.segments) else min(stop, self.segments[number + 1][0])
            datasets, positions = self._slots[number].take(at - origin, end - at)
            parts.append((datasets, positions + self._turns[number][datasets]))
            number, at = number + 1, end
            if at == stop:
                break
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def reweighted(self, position: SupportsIndex, weights: Sequence[SupportsIndex]) -> MixOrder:
        """This mix up to the position, other weights from there on. More weights add datasets; 0 pauses one."""
        position, own = keys.count("position", position, 0), checked_weights(weights)
        last, before = self.segments[-1]
        if position < last:
            raise ValueError(f"weights change at position {position}, before the change at {last}")
        if len(own) < len(before):
            raise ValueError(f"{len(own)} weights for {len(before)} datasets: a dataset that is to pause has weight 0")
        kept = self.segments[:-1] if position == last else self.segments
        return made(self.seed, (*kept, (position, own)))

    def state_dict(self, position: int) -> dict[str, Any]:
        """What `from_state` and `take` need to go on at the position; ready for json.dumps."""
        return {"version": VERSION, "seed": self.seed, "position": position, "segments": [[origin, list(weights)] for origin, weights in self.segments]}


def made(seed: int, segments: tuple[Segment, ...]) -> MixOrder:
    mix = MixOrder.__new__(MixOrder)
    mix._begin(seed, segments)
    return mix


def from_state(state: Mapping[str, Any]) -> tuple[MixOrder, int]:
    """The mix and the position that `state_dict` was given. ValueError or TypeError that says what is wrong with the state."""
    if not isinstance(state, Mapping) or state.get("version") != VERSION:
        raise ValueError(f"no state of a mix of version {VERSION}: {state!r:.80}")
    if missing := [name for name in ("seed", "position", "segments") if name not in state]:
        raise ValueError(f"the state of a mix has no {', '.join(missing)}")
    mix = from_segments(state["seed"], state["segments"])
    return mix, keys.count("the state's position", state["position"], 0)


def from_segments(seed: SupportsIndex, segments: Sequence[Any]) -> MixOrder:
    """The mix whose weights changed at these places. ValueError or TypeError that says what is wrong with them."""
    if not segments or segments[0][0] != 0:
        raise ValueError("a mix must have segments, the first from position 0")
    mix = MixOrder(segments[0][1], seed)
    for origin, weights in segments[1:]:
        mix = mix.reweighted(origin, weights)
    return mix


def laps(positions: Rows, rows: int) -> tuple[Rows, Rows]:
    """(epoch, position in it) of positions of a dataset of so many rows that begins anew whenever it is through."""
    epochs, within = np.divmod(positions, rows)
    return epochs, within


def checked_weights(weights: Sequence[SupportsIndex]) -> tuple[int, ...]:
    own = tuple(keys.count("weight", weight, 0, MOST) for weight in weights)
    if not 1 <= sum(own) <= MOST:
        raise ValueError(f"weights {list(own)} add up to {sum(own)}: 1 to {MOST} are possible")
    return own
