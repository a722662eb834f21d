"""The sampler: batches of row numbers for torch's DataLoader (as its batch_sampler) or any other loop. It reads no data and needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsIndex

from atlas_ds.order import keys
from atlas_ds.order.epoch import EpochPlan, first_state, order_of, source_of
from atlas_ds.order.mix_order import from_segments
from atlas_ds.order.options import Auto, LastBatch, Shuffle
from atlas_ds.order.partition import check_last_batch, steps_left
from atlas_ds.order.ranks import rank_and_size
from atlas_ds.order.state import check_same, from_dict


class Sampler:
    """Batches of row numbers: each row once an epoch, resumable at any step.

        sampler = Sampler(ds, batch_size=256, seed=1, rank="auto", world_size="auto")
        loader = torch.utils.data.DataLoader(ds, batch_sampler=sampler, num_workers=8)

    The order is that of `Loader`, as lists of row numbers, for torch's DataLoader or a loop of your
    own; the global batches are the same for any number of ranks. It reads no data and needs no
    torch. `len(sampler)` is the number of steps of the next `iter()`. One thread at a time may
    iterate.

    Every `iter()` begins at the same place: the start of the epoch, or the position of the state
    that was loaded. So a loop left by `break` leaves the next `iter()` where it was; to resume
    after a break, load `state_dict()`. Once an iterator has come to its end, the next `iter()`
    starts the next epoch.

    Parameters
    ----------
    dataset
        A number of rows, or an object with `len()` and, if it has them, `fingerprint`,
        `default_shuffle`, `chunk_rows()` and `chunk_bytes`, as of an AtlasDataset; or a Mix.
    batch_size, global_batch_size, shuffle, seed, rank, world_size
        As for `Loader`.
    last_batch
        A last step that is not full: "drop" leaves it out. "short" divides it evenly among the
        ranks; some get an empty batch if it has fewer rows than ranks. "pad" fills it with the
        epoch's first rows, which a list cannot mark (`plan` can).
    lanes, window, substream
        As for `Loader`.

    Raises
    ------
    ValueError
        An argument is out of range, or the ranks do not divide `global_batch_size`.

    Attributes
    ----------
    rank, world_size
        As ints.
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
        """The number of steps of the next `iter()`; the same on all ranks."""
        return steps_left(self._source.rows, self._base.position, self._base.batch, self._base.last_batch)

    def __iter__(self) -> Iterator[list[int]]:
        """Yields the row numbers of this rank, a list for each step."""
        return self._batches(self.plan())

    def _batches(self, plan: EpochPlan) -> Iterator[list[int]]:
        for step in range(plan.steps):
            rows, _ = plan.rows(step)
            self.consumed(plan, step + 1)
            yield rows.tolist()
        self.finished(plan)

    def plan(self) -> EpochPlan:
        """Returns the rest of the epoch as arrays, for code that iterates by itself.

        Position and state go back to its beginning. Code that uses a plan reports what it used by
        `consumed`, and the end by `finished`.

        Returns
        -------
        EpochPlan
            With `steps`; `rows(step)`: int64 row numbers of shape (n,), and where the step is
            padded a bool array of that shape, False where a row repeats, else None; and
            `state(steps)`.
        """
        self._now = self._base
        return EpochPlan(order_of(self._source, self._base), self._base, self.rank, self.world_size)

    def consumed(self, plan: EpochPlan, steps: int) -> None:
        """Reports that the first steps of a plan were handed out.

        Nothing changes if the sampler has moved to another place since.

        Parameters
        ----------
        plan
            What `plan` returned.
        steps
            How many steps.
        """
        if plan.begin is self._base:
            self._now = plan.state(steps)

    def finished(self, plan: EpochPlan) -> None:
        """Reports that a plan came to its end: the next `iter()` starts the next epoch.

        Parameters
        ----------
        plan
            What `plan` returned.
        """
        if plan.begin is self._base:
            self._base = self._now = self._base.at_epoch(self._base.epoch + 1)

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Chooses the epoch of the next `iter()`.

        If it is the next epoch already, the position of a loaded state is kept.

        Parameters
        ----------
        epoch
            From 0.
        """
        if keys.word("epoch", epoch) != self._base.epoch:
            self._base = self._now = self._base.at_epoch(keys.word("epoch", epoch))

    def state_dict(self) -> dict[str, Any]:
        """Returns the position of the run, after what was handed out.

        DataLoader workers run ahead of training: there it counts what was handed to them, unless
        the loader keeps the state of each batch, as StatefulDataLoader and Loader do. A state saved
        at the last step leaves 0 steps of its epoch; saved after the loop, it is at the next epoch.

        Returns
        -------
        dict
            Strings, ints, False and None; below 400 bytes as JSON. docs/order.md specifies it.
        """
        return self._now.to_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes: the next `iter()` continues where the state was saved.

        Batch size, ranks and `last_batch` may differ.

        Parameters
        ----------
        state
            What `state_dict` returned.

        Raises
        ------
        ValueError
            The state belongs to another order; the text names both values.
        """
        loaded = from_dict(state)
        check_same(loaded, self._base, self._source.rows)
        mix = None if loaded.mix is None else from_segments(loaded.seed, loaded.mix).segments
        self._base = self._now = replace(self._base, epoch=loaded.epoch, position=loaded.position, mix=mix)

    def reweight(self, weights: Sequence[SupportsIndex]) -> None:
        """Changes the weights of a Mix from here on.

        The next `iter()` continues after what was handed out; later states know of it.

        Parameters
        ----------
        weights
            Integers, one for each dataset.

        Raises
        ------
        ValueError
            The dataset is not a Mix, or the weights are not one for each dataset.
        """
        now = self._now
        if now.mix is None:
            raise ValueError("only a Mix has weights, and this is a single dataset")
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
        raise ValueError(f"global_batch_size {batch} cannot be divided evenly by world_size {world_size}")
    return batch


def described(sampler: Sampler) -> str:
    """The batches of a sampler and their order, in words."""
    ranks = f", rank {sampler.rank} of {sampler.world_size}" if sampler.world_size > 1 else ""
    base = sampler._base
    return f"{len(sampler):,} batches of {sampler.batch_size:,} rows{ranks}, shuffle={base.shuffle!r}, seed={base.seed}"
