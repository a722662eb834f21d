"""Which positions a rank reads in a step. The global batch never depends on the number of ranks; only its division does."""

from __future__ import annotations

from atlas_ds.order.options import LAST_BATCHES, LastBatch


def check_last_batch(last_batch: LastBatch) -> LastBatch:
    if last_batch not in LAST_BATCHES:
        raise ValueError(f"last_batch {last_batch!r} is not one of {', '.join(LAST_BATCHES)}")
    return last_batch


def steps_left(rows: int, start: int, batch: int, last_batch: LastBatch) -> int:
    """Steps of `batch` positions from `start` to the end of an epoch of `rows`; the same for every rank."""
    left = rows - start
    return left // batch if last_batch == "drop" else -(-left // batch)


def step_positions(rows: int, start: int, batch: int, step: int, last_batch: LastBatch) -> range:
    """The positions of a step; `start` is where the epoch was resumed. In a padded step they extend past `rows`."""
    first = start + step * batch
    return range(first, min(first + batch, rows) if last_batch == "short" else first + batch)


def rank_positions(step: range, batch: int, rank: int, world_size: int, lanes: int = 0, even: int = 0) -> range:
    """The positions of a step that a rank reads; exactly batch / world_size of a full step.

    lanes, even: of a window order. While no lane is exhausted and the ranks divide the lanes evenly, a rank reads only its own
    lanes, so that no chunk is fetched by two ranks. Otherwise, and in a short step, it reads an even slice, which may be empty if
    the step has fewer rows than there are ranks.
    """
    if lanes and lanes % world_size == 0 and len(step) == batch and step.stop <= even:
        return step[(rank - step.start) % world_size :: world_size]
    return step[rank * len(step) // world_size : (rank + 1) * len(step) // world_size]
