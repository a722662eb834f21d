"""Mixes datasets by integer weights: which dataset has its turn, and its position there. The order of that dataset says which
row is at that position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, SupportsIndex

import numpy as np

from atlas_ds._core import order as _core
from atlas_ds.order import keys
from atlas_ds.order.orders import Rows

VERSION: Final = 1
MAX_SUM: Final = 65_536  # of the weights: a block of the mix is a shuffled table
Segment = tuple[int, tuple[int, ...]]
"""The position at which weights take effect, and the weights."""


class MixOrder:
    """An endless sequence of turns. In every block of T = sum(weights) positions of a segment, dataset i has exactly weights[i].

    Turns within a block are a random permutation, a different one for each block. The k-th turn of a dataset is its position k,
    without gaps and in order, even if weights change; `laps` says which of its epochs that is in. Memory is 2 bytes times T.
    Immutable except for a cache: use it from one thread at a time.

    weights: ints >= 0 with a sum from 1 to 65,536. seed: in [0, 2^64).
    """

    __slots__ = ("_blocks", "_turns", "seed", "segments")

    def __init__(self, weights: Sequence[SupportsIndex], seed: SupportsIndex = 0) -> None:
        self._begin(keys.word("seed", seed), ((0, checked_weights(weights)),))

    def _begin(self, seed: int, segments: tuple[Segment, ...]) -> None:
        self.seed, self.segments = seed, segments
        self._blocks = [_core.MixOrder(np.cumsum(np.array(weights, np.int64)), seed, origin) for origin, weights in segments]
        self._turns = [np.zeros(len(segments[-1][1]), np.int64)]  # by segment: turns of each dataset before it
        for number, (origin, _) in enumerate(segments[1:]):
            self._turns.append(self._turns[number] + self._within(number, origin - segments[number][0]))

    def _within(self, number: int, count: int) -> Rows:
        """Turns of each dataset in the first `count` positions of a segment."""
        weights = np.zeros(len(self._turns[0]), np.int64)
        own = self.segments[number][1]
        weights[: len(own)] = own
        blocks, rest = divmod(count, sum(own))
        datasets, _ = self._blocks[number].take(blocks * sum(own), rest)
        return blocks * weights + np.bincount(datasets, minlength=len(weights))

    def counts(self, position: int) -> Rows:
        """Turns of each dataset before the position: int64 of shape (datasets,)."""
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
            datasets, positions = self._blocks[number].take(at - origin, end - at)
            parts.append((datasets, positions + self._turns[number][datasets]))
            number, at = number + 1, end
            if at == stop:
                break
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def reweighted(self, position: SupportsIndex, weights: Sequence[SupportsIndex]) -> MixOrder:
        """A mix that equals this one up to the position and has other weights from there on. More weights add datasets; 0 pauses one."""
        position, own = keys.count("position", position, 0), checked_weights(weights)
        last, before = self.segments[-1]
        if position < last:
            raise ValueError(f"weights change at position {position}, before the previous change at {last}")
        if len(own) < len(before):
            raise ValueError(f"{len(own)} weights for {len(before)} datasets: give weight 0 to pause a dataset")
        kept = self.segments[:-1] if position == last else self.segments
        return mix_of(self.seed, (*kept, (position, own)))

    def state_dict(self, position: int) -> dict[str, Any]:
        """What `from_state` needs to resume at the position; ready for json.dumps."""
        return {"version": VERSION, "seed": self.seed, "position": position, "segments": [[origin, list(weights)] for origin, weights in self.segments]}


def mix_of(seed: int, segments: tuple[Segment, ...]) -> MixOrder:
    mix = MixOrder.__new__(MixOrder)
    mix._begin(seed, segments)
    return mix


def from_state(state: Mapping[str, Any]) -> tuple[MixOrder, int]:
    """The inverse of `state_dict`: the mix and the position. Raises ValueError or TypeError that names what is wrong."""
    if not isinstance(state, Mapping) or state.get("version") != VERSION:
        raise ValueError(f"not a state of a mix of version {VERSION}: {state!r:.80}")
    if missing := [name for name in ("seed", "position", "segments") if name not in state]:
        raise ValueError(f"the state of a mix has no {', '.join(missing)}")
    mix = from_segments(state["seed"], state["segments"])
    return mix, keys.count("the state's position", state["position"], 0)


def from_segments(seed: SupportsIndex, segments: Sequence[Any]) -> MixOrder:
    """The mix with these changes of weights. Raises ValueError or TypeError that names what is wrong."""
    if not segments or segments[0][0] != 0:
        raise ValueError("a mix must have segments, the first from position 0")
    mix = MixOrder(segments[0][1], seed)
    for origin, weights in segments[1:]:
        mix = mix.reweighted(origin, weights)
    return mix


def laps(positions: Rows, rows: int) -> tuple[Rows, Rows]:
    """(epoch, position in the epoch) of positions in a dataset of `rows` rows that is repeated endlessly."""
    epochs, within = np.divmod(positions, rows)
    return epochs, within


def checked_weights(weights: Sequence[SupportsIndex]) -> tuple[int, ...]:
    own = tuple(keys.count("weight", weight, 0, MAX_SUM) for weight in weights)
    if not 1 <= sum(own) <= MAX_SUM:
        raise ValueError(f"weights {list(own)} must sum to 1..{MAX_SUM}, got {sum(own)}")
    return own
