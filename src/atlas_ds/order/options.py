"""The options that decide an order, with their types. Sampler describes each of them; Loader and Mix take the same."""

from __future__ import annotations

from typing import Final, Literal, SupportsIndex, TypedDict, get_args

Shuffle = bool | Literal["exact", "window"]
LastBatch = Literal["drop", "short", "pad"]
Auto = SupportsIndex | Literal["auto"]
"""A rank, or a number of ranks; "auto" finds it."""
LAST_BATCHES: Final[tuple[LastBatch, ...]] = get_args(LastBatch)


class OrderOptions(TypedDict):
    """What decides the order of all ranks together, as users give it."""

    shuffle: Shuffle
    seed: SupportsIndex
    substream: SupportsIndex
    last_batch: LastBatch
    lanes: SupportsIndex | None
    window: SupportsIndex | None
