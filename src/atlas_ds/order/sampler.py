"""The sampler: batches of row numbers for torch's DataLoader (as its batch_sampler) or any other loop. It reads no data and needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

from atlas_ds.order import keys
from atlas_ds.order.mix import from_segments
from atlas_ds.order.options import Auto, LastBatch, Shuffle
from atlas_ds.order.partition import check_last_batch, steps_left
from atlas_ds.order.plan import EpochPlan, first_state, order_of, source_of
from atlas_ds.order.ranks import rank_and_size
from atlas_ds.order.state import check_same, from_dict


class Sampler:
    """Batches of row numbers, exactly once per epoch, the same global batches for any number of ranks, resumed at any step.

        sampler = Sampler(ds, batch_size=256, seed=1, rank="auto", world_size="auto")
        loader = torch.utils.data.DataLoader(ds, batch_sampler=sampler, num_workers=8)

    dataset: a number of rows or an object with `len()`; see `source_of` for what else it may say about itself.
    batch_size: rows of this rank in a step; global_batch_size: of all ranks together, which the ranks must divide. Give one.
    shuffle: "exact" (a permutation of all rows), "window" (chunks in random order, rows within windows of them), False, or True for
    the dataset's advice. seed, substream: any int in [0, 2^64); two samplers of one dataset that differ in substream are independent.
    lanes, window: of shuffle="window", defaults 192 and 32.
    rank, world_size: ints, or "auto": from torch.distributed if it is initialised, else RANK and WORLD_SIZE; no process group is made.
    last_batch: what to do with a last step that is not full. "drop": it is left out. "short": it is dealt evenly; with fewer rows than ranks
    some ranks get an empty batch, so that every rank has the same number of steps. "pad": it is filled up with the epoch's first rows.
    Lists cannot mark these: a `EpochPlan` or the Loader gives a mask.

    Every `iter()` begins at the same place: the start of the epoch, or the position of the state that was loaded. So a loop left by
    `break`, or a look at the first batch, leaves the next `iter()` where it was; to go on from a break, load `state_dict()`. Once an
    iterator has come to its end, the next epoch is up, from its start. `set_epoch` to the epoch that is up changes nothing (the
    position of a loaded state stays); to another one, its start is up. `len()` is the number of steps the next `iter()` gives.

    `state_dict()` counts what was yielded. DataLoader workers run ahead of training: there it counts what was handed to them, unless
    the loader keeps the states of batches apart, as StatefulDataLoader and Loader do. A state saved at the last step leaves 0 steps of
    its epoch; saved after the loop, the next epoch. Batch size, ranks and last_batch may differ when it is loaded.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        batch_size: SupportsIndex | None = None,
        global_batch_size: SupportsIndex | None = None,
        shuffle: Shuffle = True,
        seed: SupportsIndex = 0,
        rank: Auto = 0,
        world_size: Auto = 1,
        last_batch: LastBatch = "drop",
        lanes: SupportsIndex | None = None,
        window: SupportsIndex | None = None,
        substream: SupportsIndex = 0,
    ) -> None:
        self.rank, self.world_size = rank_and_size(rank, world_size)
        batch = global_batch(batch_size, global_batch_size, self.world_size)
        self._source = source_of(dataset)
        self._base = first_state(
            self._source,
            batch,
            shuffle=shuffle,
            seed=seed,
            substream=substream,
            last_batch=check_last_batch(last_batch),
            lanes=lanes,
            window=window,
        )
        self._now = self._base

    @property
    def batch_size(self) -> int:
        """Rows of this rank in a full step."""
        return self._base.batch // self.world_size

    @property
    def epoch(self) -> int:
        """The epoch of the next `iter()`."""
        return self._base.epoch

    def __repr__(self) -> str:
        return f"Sampler({described(self)}, epoch {self.epoch})"

    def __len__(self) -> int:
        return steps_left(self._source.rows, self._base.position, self._base.batch, self._base.last_batch)

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(self.plan())

    def _batches(self, plan: EpochPlan) -> Iterator[list[int]]:
        for step in range(plan.steps):
            rows, _ = plan.rows(step)
            self.consumed(plan, step + 1)
            yield rows.tolist()
        self.finished(plan)

    def plan(self) -> EpochPlan:
        """What the next `iter()` gives, without iterating; position and state go back to its beginning.

        A loop over a plan reports to `consumed` and `finished`, as `__iter__` does.
        """
        self._now = self._base
        return EpochPlan(order_of(self._source, self._base), self._base, self.rank, self.world_size)

    def consumed(self, plan: EpochPlan, steps: int) -> None:
        """The first `steps` steps of the plan were handed out. Nothing changes if the sampler has gone on to another place since."""
        if plan.begin is self._base:
            self._now = plan.state(steps)

    def finished(self, plan: EpochPlan) -> None:
        """The plan came to its end: the next epoch is up."""
        if plan.begin is self._base:
            self._base = self._now = self._base.at_epoch(self._base.epoch + 1)

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """The epoch of the next `iter()`; the epoch that is up keeps its position."""
        if keys.word("epoch", epoch) != self._base.epoch:
            self._base = self._now = self._base.at_epoch(keys.word("epoch", epoch))

    def state_dict(self) -> dict[str, Any]:
        """Where the run stands: see `OrderState`; as JSON below 400 bytes."""
        return self._now.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next `iter()` goes on where the state was saved. ValueError that names both values if it is of another order."""
        loaded = from_dict(state)
        check_same(loaded, self._base, self._source.rows)
        mix = None if loaded.mix is None else from_segments(loaded.seed, loaded.mix).segments
        self._base = self._now = replace(self._base, epoch=loaded.epoch, position=loaded.position, mix=mix)

    def reweight(self, weights: Sequence[SupportsIndex]) -> None:
        """Of a mix: other weights from here on. The next `iter()` goes on after what was yielded, and every later state knows of it."""
        now = self._now
        if now.mix is None:
            raise ValueError("weights are of a Mix; this is one dataset")
        mix = from_segments(now.seed, now.mix).reweighted(now.epoch * self._source.rows + now.position, weights)
        if len(mix.segments[-1][1]) != len(now.mix[0][1]):
            raise ValueError(f"{len(mix.segments[-1][1])} weights for {len(now.mix[0][1])} datasets")
        self._base = self._now = replace(now, mix=mix.segments)


def global_batch(batch_size: SupportsIndex | None, global_batch_size: SupportsIndex | None, world_size: int) -> int:
    """Rows of a step over all ranks."""
    if (batch_size is None) == (global_batch_size is None):
        raise ValueError("give batch_size (rows of a rank) or global_batch_size (rows of all ranks together), one of them")
    if global_batch_size is None:
        assert batch_size is not None
        return keys.count("batch_size", batch_size) * world_size
    batch = keys.count("global_batch_size", global_batch_size)
    if batch % world_size:
        raise ValueError(f"global_batch_size {batch} cannot be dealt evenly to world_size {world_size}")
    return batch


def described(sampler: Sampler) -> str:
    """The batches of a sampler and their order, in words."""
    ranks = f", rank {sampler.rank} of {sampler.world_size}" if sampler.world_size > 1 else ""
    base = sampler._base
    return f"{len(sampler):,} batches of {sampler.batch_size:,} rows{ranks}, shuffle={base.shuffle!r}, seed={base.seed}"
