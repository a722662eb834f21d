"""The remaining epoch as one rank sees it: the number of steps, the rows of each, and the state after each. No iteration,
no Python lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, SupportsIndex, Unpack

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import hash64
from atlas_ds.order import keys
from atlas_ds.order.mix_order import Segment
from atlas_ds.order.options import OrderOptions, Shuffle
from atlas_ds.order.orders import Chunks, Exact, Order, Rows, Sequential, Window, checked_chunks
from atlas_ds.order.partition import rank_positions, step_positions, steps_left
from atlas_ds.order.state import OrderState, check_name

CHUNK_ROWS: Final = 256
"""Rows of a chunk, for datasets that do not define chunks."""
LANES: Final = 192
"""Divisible by 1 2 3 4 6 8 12 16 24 32 48 64 96 192 ranks. Never derived from the number of ranks: the order must not
depend on it."""
WINDOW: Final = 32
"""With 192 lanes, 6,144 chunks are open at a time. For sorted data, the variance of batch means is then 2 % above that of a
true shuffle at 256 rows per batch and 14 % at 1,024, for any chunk size (Window.quality). Half the window doubles this
excess; twice the window doubles the cache."""
OPEN_BYTES: Final = 256 << 20
"""Default limit for open chunks, in bytes, for readers that must keep them decoded."""


class ChunksOf:
    """The chunks of a dataset, computed once and only for a window order: a dataset may have to open all its files for this."""

    __slots__ = ("_dataset", "_found", "_rows")

    def __init__(self, dataset: Any, rows: int) -> None:
        self._dataset, self._rows = dataset, rows
        self._found: Chunks | None = None

    def __call__(self) -> Chunks:
        if self._found is None:
            chunks = checked_chunks(self._dataset.chunk_rows()) if hasattr(self._dataset, "chunk_rows") else (self._rows, CHUNK_ROWS)
            counted = chunks[0] if isinstance(chunks, tuple) else int(chunks.sum())
            if counted != self._rows:
                raise ValueError(f"chunk_rows() adds up to {counted} rows, but the dataset has {self._rows}")
            self._found = chunks
        return self._found


@dataclass(frozen=True, slots=True)
class OrderSource:
    """What an order needs to know of a dataset. shuffle: the kind used for shuffle=True. window: the default chunks per window."""

    rows: int
    fingerprint: str
    chunks: Callable[[], Chunks]
    shuffle: str
    window: int = WINDOW
    make: Callable[[OrderState], Order] | None = None
    """for a mix, which defines its own order"""
    seed: int = 0
    mix: tuple[Segment, ...] | None = None


def source_of(dataset: Any) -> OrderSource:
    """The OrderSource of a number of rows, of a mix (`order_source()`), or of an object with `len()` and optionally `fingerprint`
    (a short str), `default_shuffle` ("exact" or "window"), `chunk_rows()` ((rows, rows_per_chunk), or an int64 array of the rows
    of each chunk), `chunk_bytes` (of a mean chunk, if readers of a window must keep it; otherwise None) and `open_bytes` (that
    all windows together may take; OPEN_BYTES)."""
    if hasattr(dataset, "order_source"):
        return dataset.order_source()  # type: ignore[no-any-return]  # duck-typed: Mix is defined in loader/
    is_length = hasattr(dataset, "__index__")
    rows = keys.count("rows", dataset if is_length else len(dataset), 0)
    name = getattr(dataset, "fingerprint", None) or f"rows:{rows}"
    default = getattr(dataset, "default_shuffle", None) or "exact"
    window = fitting_window(getattr(dataset, "chunk_bytes", None), getattr(dataset, "open_bytes", OPEN_BYTES))
    return OrderSource(rows, check_name(name), ChunksOf(dataset, rows), default, window)


def fitting_window(chunk_bytes: float | None, open_bytes: int = OPEN_BYTES) -> int:
    """Chunks per window such that the windows of all lanes fit into open_bytes; WINDOW if nothing has to stay decoded. The same
    on every machine."""
    return WINDOW if chunk_bytes is None else max(1, min(WINDOW, int(open_bytes / (LANES * max(1.0, chunk_bytes)))))


def first_state(source: OrderSource, batch: SupportsIndex, **options: Unpack[OrderOptions]) -> OrderState:
    """The state before the first step of epoch 0. batch: rows of a step, of all ranks together."""
    if source.make is not None:
        return mix_state(source, batch, **options)
    lanes, window = options["lanes"], options["window"]
    kind = chosen_shuffle(options["shuffle"], source.shuffle)
    of_window = kind == "window"
    if not of_window and (lanes is not None or window is not None):
        raise ValueError(f"lanes and window are for shuffle='window', not {kind!r}")
    chunk: int | str | None = None
    if of_window:
        chunks = source.chunks()
        chunk = chunks[1] if isinstance(chunks, tuple) else f"{hash64(chunks.tobytes()):016x}"
    return OrderState(
        dataset=source.fingerprint,
        shuffle=kind,
        seed=keys.word("seed", options["seed"]),
        substream=keys.word("substream", options["substream"]),
        epoch=0,
        position=0,
        batch=keys.count("batch", batch),
        lanes=keys.count("lanes", LANES if lanes is None else lanes, most=1 << 20) if of_window else None,
        window=keys.count("window", source.window if window is None else window, most=(1 << 31) - 1) if of_window else None,
        chunk=chunk,
        last_batch=options["last_batch"],
    )


def mix_state(source: OrderSource, batch: SupportsIndex, **options: Unpack[OrderOptions]) -> OrderState:
    """The state before the first step of a mix."""
    own_order = options["shuffle"] is not True or options["lanes"] is not None or options["window"] is not None
    if own_order or keys.word("seed", options["seed"]) not in (0, source.seed):
        raise ValueError("a mix has its own seed and order: pass seed= and shuffle= to Mix, and no lanes or window")
    return OrderState(
        dataset=source.fingerprint,
        shuffle="mix",
        seed=source.seed,
        substream=0,
        epoch=0,
        position=0,
        batch=keys.count("batch", batch),
        lanes=None,
        window=None,
        chunk=None,
        last_batch=options["last_batch"],
        mix=source.mix,
    )


def chosen_shuffle(shuffle: Shuffle, default: str) -> Literal["exact", "window", False]:
    kind: bool | str = default if shuffle is True else shuffle
    if kind == "exact" or kind == "window":
        return "exact" if kind == "exact" else "window"
    if kind is False:
        return False
    raise ValueError(f"shuffle {kind!r} is not one of True, 'exact', 'window', False")


def order_of(source: OrderSource, state: OrderState) -> Order:
    """The order of the state's epoch."""
    if source.make is not None:
        return source.make(state)
    if state.shuffle == "exact":
        return Exact(source.rows, state.seed, state.epoch, state.substream)
    if state.shuffle == "window":
        assert state.lanes is not None and state.window is not None
        return Window(source.chunks(), state.lanes, state.window, state.seed, state.epoch, state.substream)
    return Sequential(source.rows)


@dataclass(frozen=True, slots=True)
class EpochPlan:
    """The part of an epoch after `begin`, for one rank of world_size."""

    order: Order
    begin: OrderState
    rank: int = 0
    world_size: int = 1

    @property
    def steps(self) -> int:
        """Remaining steps; the same for every rank."""
        return steps_left(self.order.length, self.begin.position, self.begin.batch, self.begin.last_batch)

    def positions(self, step: int) -> range:
        """The rank's positions of a step; in a padded step they extend past the order's length."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of {self.steps}")
        begin, order = self.begin, self.order
        whole = step_positions(order.length, begin.position, begin.batch, step, begin.last_batch)
        lanes, even = (order.lanes, order.even) if isinstance(order, Window) else (0, 0)
        return rank_positions(whole, begin.batch, self.rank, self.world_size, lanes, even)

    def rows(self, step: int) -> tuple[Rows, npt.NDArray[np.bool_] | None]:
        """The rank's rows of a step, int64 of shape (n,), and a mask: None, or for a padded step a bool array of that shape that is
        False where a row repeats one from the start of the epoch."""
        positions, length = self.positions(step), self.order.length
        if self.begin.last_batch != "pad" or self.begin.position + (step + 1) * self.begin.batch <= length:
            return self.order.take(positions.start, len(positions), positions.step), None
        real = min(max(length - positions.start, 0), len(positions))
        parts, at = [self.order.take(positions.start if real else 0, real)], positions.start + real
        while at < positions.stop:  # more than once if the dataset is smaller than the missing part
            first = at % length
            parts.append(self.order.take(first, min(length - first, positions.stop - at)))
            at += len(parts[-1])
        return np.concatenate(parts), np.arange(len(positions)) < real

    def rows_of(self, first: int, last: int) -> tuple[Rows, list[int], list[npt.NDArray[np.bool_] | None]]:
        """The rank's rows of steps first .. last - 1 as one array, the number per step, and the masks as `rows` returns them."""
        begin, count = self.begin, last - first
        start = begin.position + first * begin.batch
        if self.world_size == 1 and start + count * begin.batch <= self.order.length:
            return self.order.take(start, count * begin.batch), [begin.batch] * count, [None] * count
        parts = [self.rows(step) for step in range(first, last)]
        return np.concatenate([rows for rows, _ in parts]), [len(rows) for rows, _ in parts], [mask for _, mask in parts]

    def state(self, steps: int) -> OrderState:
        """The state after the first `steps` steps."""
        return self.begin.at(min(self.order.length, self.begin.position + steps * self.begin.batch))
