"""Orders of the rows of one epoch: which row is at which position. An order knows nothing of ranks, batches or files."""

from __future__ import annotations

from typing import Any, Protocol, SupportsIndex

import numpy as np
import numpy.typing as npt

from atlas_ds._core import order as _core
from atlas_ds.forks import Lock
from atlas_ds.order import keys
from atlas_ds.order.permutation import Permutation

Rows = npt.NDArray[np.int64]
Chunks = tuple[int, int] | Rows
"""(rows, rows per chunk) if all chunks but the last have the same size; otherwise an int64 array of the rows of each."""


class Order(Protocol):
    """Every number in [0, length) once, at positions 0 .. length - 1."""

    @property
    def length(self) -> int: ...
    def take(self, start: int, count: int, step: int = 1) -> Rows: ...


class Sequential:
    """Rows in stored order."""

    __slots__ = ("length",)

    def __init__(self, length: SupportsIndex) -> None:
        self.length = keys.count("length", length, 0)

    def take(self, start: int, count: int, step: int = 1) -> Rows:
        """The rows at positions start, start + step, ...: int64 of shape (count,). IndexError past the end."""
        if start < 0 or count < 0 or step < 1 or (count > 0 and start + (count - 1) * step >= self.length):
            raise IndexError(f"{count} positions from {start}, {step} apart, of {self.length}")
        return np.arange(start, start + count * step, step, dtype=np.int64)


class Exact:
    """One permutation of all rows: a true shuffle. Memory, and the time to compute any position, do not depend on length."""

    __slots__ = ("_rows", "epoch", "length", "seed", "substream")

    def __init__(self, length: SupportsIndex, seed: SupportsIndex = 0, epoch: SupportsIndex = 0, substream: SupportsIndex = 0) -> None:
        self.seed, self.epoch, self.substream = keys.word("seed", seed), keys.word("epoch", epoch), keys.word("substream", substream)
        self._rows = Permutation(length, keys.ROWS, self.substream, self.seed, self.epoch)
        self.length = self._rows.length

    def __reduce__(self) -> tuple[type[Exact], tuple[int, ...]]:
        return Exact, (self.length, self.seed, self.epoch, self.substream)

    def take(self, start: int, count: int, step: int = 1) -> Rows:
        """The rows at positions start, start + step, ...: int64 of shape (count,). IndexError past the end."""
        if start < 0 or count < 0 or step < 1:
            raise IndexError(f"{count} positions from {start}, {step} apart, of {self.length}")
        return self._rows.take(start, (count - 1) * step + 1 if count else 0)[::step]


class Window:
    """Chunks in random order, dealt to lanes; rows permuted within windows of a lane. Rows read together are stored together.

    Chunk q of a permutation of all chunks goes to lane q % lanes. `window` consecutive chunks of a lane are a window, whose rows are
    permuted; the first window of lane l has only window - l * window // lanes of them, so that lanes open windows at different times.
    Position p is the next row of lane p % lanes; once a lane is exhausted, the others continue in turn, the one with most rows
    first. At any time at most one window of each lane is open, so lanes * window chunks.

    chunks: (rows, rows_per_chunk), for which memory does not grow with the rows (up to 65,536 chunks: 2 bytes each); or the int64
    row counts of all chunks, for which memory is 8 bytes per chunk and 8 bytes per window. Open windows of up to 65,536 rows take 2
    bytes per row, two windows per lane. Construction is O(1), or O(chunks) for unequal chunks. `take` may be called by many
    threads; they wait for each other.

    ValueError: a chunk of an array of sizes is empty, or lanes or window is below 1.
    """

    __slots__ = ("_core", "_lock", "_per_chunk", "_starts", "chunk_count", "epoch", "even", "lanes", "length", "seed", "substream", "window")

    def __init__(
        self,
        chunks: Chunks,
        lanes: SupportsIndex,
        window: SupportsIndex,
        seed: SupportsIndex = 0,
        epoch: SupportsIndex = 0,
        substream: SupportsIndex = 0,
    ) -> None:
        chunks = checked_chunks(chunks)
        self.seed, self.epoch, self.substream = keys.word("seed", seed), keys.word("epoch", epoch), keys.word("substream", substream)
        self.window = keys.count("window", window, most=(1 << 31) - 1)
        self._starts: Rows | None = None
        if isinstance(chunks, tuple):
            self.length, self._per_chunk = chunks
            self.chunk_count = -(-self.length // self._per_chunk)
        else:
            self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(chunks)])
            self.length, self._per_chunk, self.chunk_count = int(self._starts[-1]), 0, len(chunks)
        self.lanes = min(keys.count("lanes", lanes, most=1 << 20), self.chunk_count)
        self._lock = Lock()
        self._core: _core.Windows | None = None
        self.even = 0
        if self.chunk_count:
            dealt = _core.Permutation(self.chunk_count, keys.CHUNKS, self.substream, self.seed, self.epoch)
            per_chunk = min(self._per_chunk, self.length)
            self._core = _core.Windows(dealt, self._starts, self.length, per_chunk, self.lanes, self.window, self.substream, self.seed, self.epoch)
            self.even, turns, by_length = deal(self._core.lane_rows)
            self._core.deal(self.even, turns, by_length)

    def __reduce__(self) -> tuple[type[Window], tuple[Any, ...]]:
        chunks = (self.length, self._per_chunk) if self._starts is None else np.diff(self._starts)
        return Window, (chunks, max(self.lanes, 1), self.window, self.seed, self.epoch, self.substream)

    @property
    def starts(self) -> Rows:
        """The first row of each chunk, then the number of rows: int64 of shape (chunks + 1,)."""
        if self._starts is not None:
            return self._starts
        return np.append(np.arange(self.chunk_count, dtype=np.int64) * self._per_chunk, self.length)

    def take(self, start: int, count: int, step: int = 1) -> Rows:
        """The rows at positions start, start + step, ...: int64 of shape (count,). IndexError past the end."""
        if self._core is None:
            return Sequential(0).take(start, count, step)
        with self._lock.held:
            if self._lock.torn:  # forked while another thread was inside the core's windows
                self._core, self._lock.torn = Window(*self.__reduce__()[1])._core, False
                assert self._core is not None
            return self._core.take(start, count, step)

    def chunks_at(self, start: int, stop: int, step: int = 1) -> Rows:
        """The chunks that positions range(start, stop, step) touch, in order of first use: int64, each once. Costs as much as `take`."""
        rows = self.take(start, len(range(start, stop, step)), step)
        chunks = rows // self._per_chunk if self._starts is None else np.searchsorted(self._starts, rows, side="right") - 1
        found, first = np.unique(chunks, return_index=True)
        return found[np.argsort(first)]

    def quality(self, batch: SupportsIndex, icc: float = 1.0) -> float:
        """D: the variance of a batch mean relative to independent draws; a true shuffle has 1 - (batch - 1) / (length - 1).

        icc: the intraclass correlation of the averaged quantity within chunks: 1 in sorted data, 0 in shuffled data. Two rows of a
        batch correlate by icc if they share a chunk; otherwise by the small negative value that makes all covariances sum to zero.
        Lanes take turns, so only two rows of one lane can share a chunk, with the probability of two rows of a window of `window`
        chunks (docs/order.md, Quality). Computed for the middle of an epoch, where windows are full, and for the mean chunk size.
        """
        batch = min(keys.count("batch", batch), self.length)
        if self.chunk_count < 2:
            return 1 - (batch - 1) / (self.length - 1) if self.length > 1 else 1.0
        per_chunk = self.length / self.chunk_count
        per_window = per_chunk * min(self.window, self.chunk_count / self.lanes)
        turns, more = divmod(batch, self.lanes)
        same_lane = more * (turns + 1) * turns + (self.lanes - more) * turns * (turns - 1)  # ordered pairs
        same_chunk = same_lane * (per_chunk - 1) / (per_window - 1) if per_window > 1 else 0.0
        apart = -(1 + (per_chunk - 1) * icc) / (self.length - per_chunk)
        return 1 + (same_chunk * icc + (batch * (batch - 1) - same_chunk) * apart) / batch


def checked_chunks(chunks: Chunks) -> Chunks:
    """The chunks, validated: as ints, or as a contiguous int64 copy."""
    if isinstance(chunks, tuple):
        rows, per_chunk = chunks
        return keys.count("rows", rows, 0, (1 << 62) - 1), keys.count("rows_per_chunk", per_chunk)
    array = np.array(chunks)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"chunks must be (rows, rows_per_chunk) or a one-dimensional array of ints, not {array.dtype} of shape {array.shape}")
    if array.size and int(array.min()) < 1:
        raise ValueError(f"chunk {int(array.argmin())} has {int(array.min())} rows: every chunk needs at least one")
    if float(array.sum(dtype=np.float64)) >= 2.0**62:
        raise ValueError(f"chunks of {float(array.sum(dtype=np.float64)):.3g} rows: the limit is 2^62")
    return array.astype(np.int64)


def deal(lane_rows: Rows) -> tuple[int, Rows, Rows]:
    """How lanes with these numbers of rows take turns.

    Returns the number of positions before the first lane is exhausted; a row (position, offset, lanes) for each change after
    that: from this position on, the `lanes` longest lanes take turns, starting at this offset; and the lanes, longest first.
    """
    by_length = np.argsort(-lane_rows, kind="stable").astype(np.int64)
    offsets = np.unique(lane_rows)
    left = len(lane_rows) - np.searchsorted(np.sort(lane_rows), offsets[:-1], side="right")  # lanes that are longer
    positions = offsets[0] * len(lane_rows) + np.concatenate([[0], np.cumsum(np.diff(offsets) * left)[:-1]]) if len(left) else left
    turns = np.ascontiguousarray(np.stack([positions, offsets[:-1], left], axis=1), dtype=np.int64)
    return int(offsets[0]) * len(lane_rows), turns, by_length
