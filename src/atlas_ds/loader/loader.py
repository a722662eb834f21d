"""The loader: batches in the exact order, read ahead by threads, resumable at any batch. What is read how is in fetch.py, threads in pipeline.py."""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, SupportsIndex

import numpy as np

from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.sizes import as_bytes
from atlas_ds.errors import LoaderTimeout
from atlas_ds.loader.columns import size_of
from atlas_ds.loader.fetch import Chunked, Examples, Fetch, Seeds, columns_of, cut, plain
from atlas_ds.loader.mix import Mix
from atlas_ds.loader.pipeline import Failure, Pipeline
from atlas_ds.loader.processes import ProcessDied, Processes
from atlas_ds.loader.stats import Stats
from atlas_ds.order import Order, Plan, Sampler, Window, keys
from atlas_ds.progress import Progress

GROUP_BYTES = 2 << 20  # small batches are read together: one change of threads for so many bytes
GROUP_STEPS = 32
WARN_QUALITY = 1.5
SKIPS_KEPT = 1000
ON_ERROR = ("raise", "skip", "replace")
FORMATS = ("torch", "numpy")
NOT_OF_A_ROW = (LoaderTimeout, ProcessDied, MemoryError)  # no bad sample: skipping rows would not help
Part = tuple[Any, np.ndarray, list[int], list[Any]]
"""Columns of some steps, their rows, how many are of each step, and the masks."""


class Loader:
    """Batches of a dataset for training: shuffled exactly, each row once an epoch, read ahead by threads, resumable at any batch.

        loader = atlas.Loader(ds, batch_size=256, shuffle=True, seed=0)
        for epoch in range(10):
            for batch in loader:
                ...                                  # save loader.state_dict() whenever you save the model
        loader.load_state_dict(state)                # goes on after the last batch that was given out

    dataset: an AtlasDataset, a view, a concat, a Mix, or anything with `len()` and `[i]`. A batch has the shape of an example: a dict of
    columns, a tuple of columns, one column. batch_size / global_batch_size, shuffle, seed, stream, rank, world_size, tail, lanes, window:
    as for `Sampler`, which makes the order. tail="pad": each batch has a bool column "mask", False where a row repeats.

    transform(batch): called for each batch of NumPy columns, in the loader's threads, before tensors are made.
    transform_example(example): called for each example; the results are put together by collate(list), by default `collate_columns`.
    transform_processes: so many processes read and transform examples (start_method "forkserver" or "spawn"), for transforms that hold
    the GIL. seeded: transforms get a second argument, a numpy Generator that depends on (seed, epoch, row) only; for transform(batch)
    row is the first of the batch.

    num_threads: default the cores, at most 8. 0: all is done by the loop itself. prefetch: bytes ("64MB") that may lie ready or in work.
    format: "torch" or "numpy". pin_memory: tensors in page-locked memory, where there is an accelerator.
    on_error: a bad sample (damaged bytes, an error in transform_example) raises; or "skip": the batch is shorter; or "replace": another
    row of the batch takes its place. Positions are consumed all the same, and `stats().skips` tells which. A process that dies or hangs
    raises always. An empty batch (tail="short", or all skipped) has the columns of row 0; a collate of yours gets an empty list.
    timeout: seconds that the loop waits while nothing is finished; then LoaderTimeout, with the stacks of all threads (not with
    num_threads=0, where the loop itself is what hangs). progress: a bar.

    Iterating again is the next epoch; a loop left by `break` begins its epoch anew, unless a state is loaded.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        batch_size: SupportsIndex | None = None,
        global_batch_size: SupportsIndex | None = None,
        shuffle: bool | str = True,
        seed: SupportsIndex = 0,
        rank: SupportsIndex | str = 0,
        world_size: SupportsIndex | str = 1,
        tail: str = "drop",
        lanes: SupportsIndex | None = None,
        window: SupportsIndex | None = None,
        stream: SupportsIndex = 0,
        transform: Callable[..., Any] | None = None,
        transform_example: Callable[..., Any] | None = None,
        collate: Callable[[Sequence[Any]], Any] | None = None,
        transform_processes: int = 0,
        start_method: str = "forkserver",
        seeded: bool = False,
        num_threads: int | None = None,
        prefetch: int | str = "64MB",
        format: str = "torch",
        pin_memory: bool = False,
        on_error: str = "raise",
        timeout: float = 300.0,
        progress: bool = False,
    ) -> None:
        if format not in FORMATS:
            raise ValueError(f"format={format!r}: 'torch' or 'numpy'")
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error={on_error!r}: 'raise', 'skip' or 'replace'")
        if not timeout > 0:
            raise ValueError(f"timeout={timeout!r}: seconds above 0, or math.inf")
        if transform_processes and start_method not in ("forkserver", "spawn"):
            raise ValueError(f"start_method={start_method!r}: 'forkserver' or 'spawn'; a fork of a process with threads may hang")
        if isinstance(dataset, str | os.PathLike):
            raise TypeError(f"a Loader reads a dataset, not a path: Loader(AtlasDataset({os.fspath(dataset)!r}), ...)")
        self.dataset = dataset
        self._rows = dataset.all if isinstance(dataset, Mix) else dataset
        self.sampler = Sampler(
            dataset,
            batch_size=batch_size,
            global_batch_size=global_batch_size,
            shuffle=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            tail=tail,
            lanes=lanes,
            window=window,
            stream=stream,
        )
        self._by_example = transform_example is not None or collate is not None or transform_processes > 0 or not plain(self._rows)
        self._transform, self._transform_example, self._collate = transform, transform_example, collate
        self._seeded, self._on_error, self._timeout, self._progress = seeded, on_error, timeout, progress
        self._processes, self._start_method = transform_processes, start_method
        asked = min(8, len(os.sched_getaffinity(0))) if num_threads is None else keys.count("num_threads", num_threads, 0)
        self._threads = keys.count("transform_processes", transform_processes, 0) or asked
        self._prefetch = as_bytes(prefetch, "prefetch")
        self._finish = finisher(format, pin_memory)
        self._masked = tail == "pad"
        self._stats = Stats()
        self._now: tuple[Plan, int] | None = None
        self._open: weakref.WeakSet[Run] = weakref.WeakSet()
        self._check_length()
        order = self.sampler.plan().order
        self._check_quality(order)
        self._chunked = isinstance(order, Window) and not self._by_example and getattr(self._rows, "decodes_blocks", False)
        self._group = 1 if self._by_example else group_steps(self, self.sampler.batch_size)
        # of all epochs, so that each finds the buffers of the last
        rows = 0 if self._chunked else self.sampler.batch_size * self._group
        self._columns = None if self._by_example else columns_of(self._rows, rows, alone=self._threads > 0)

    def _check_length(self) -> None:
        if len(self) == 0 < len(self.dataset):
            batch = self.sampler.batch_size * self.sampler.world_size
            warnings.warn(
                f"an epoch has no batches: {len(self.dataset):,} rows do not fill one of {batch:,}, and tail='drop' leaves it out. "
                "Use a smaller batch, or tail='short'",
                stacklevel=3,
            )

    def _check_quality(self, order: Order) -> None:
        if not isinstance(order, Window) or order.length == 0:
            return
        recorded = getattr(self.dataset, "icc", None)
        batch = self.sampler.batch_size * self.sampler.world_size
        self._stats.quality_is_worst = not recorded
        self._stats.quality = order.quality(batch, max(recorded.values()) if recorded else 1.0)
        if self._stats.quality > WARN_QUALITY:
            known = f"its rows are alike within a chunk (ICC {max(recorded.values()):.2f})" if recorded else "if its rows are sorted, say by class"
            warnings.warn(
                f"a window order of this dataset mixes badly, {known}: a batch's mean varies {self._stats.quality:.1f} times as much as in a true "
                "shuffle. Use shuffle='exact', more lanes or a larger window, or shuffle it once: atlas-ds shuffle SRC DST",
                stacklevel=3,
            )

    # --- iteration ---

    def __len__(self) -> int:
        """Batches that the next `iter()` gives; the same on all ranks."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        plan = self.sampler.plan()
        stats = self._stats = Stats(quality=self._stats.quality, quality_is_worst=self._stats.quality_is_worst, by_example=self._by_example)
        self._now = plan, 0
        run = Run(self, plan, stats)
        batches = self._batches(run, plan, stats)
        run.ends_with(batches)
        self._open.add(run)
        return batches

    def _batches(self, run: Run, plan: Plan, stats: Stats) -> Iterator[Any]:
        clock = time.perf_counter
        began = asked = clock()
        done = 0
        try:
            with Progress(plan.steps, f"epoch {plan.begin.epoch}", "batches", self._progress) as bar:
                for number in range(run.groups):
                    ready = run.pipeline.get(number)
                    stats.most_bytes = run.pipeline.most_bytes
                    for item in ready:
                        if isinstance(item, Failure):
                            raise item.error
                        batch, rows, size = item
                        done += 1
                        if self._now is not None and self._now[0] is plan:
                            self._now = plan, done
                        given = clock()
                        stats.waiting += given - asked
                        stats.seconds = given - began
                        stats.batches, stats.rows, stats.bytes = done, stats.rows + rows, stats.bytes + size
                        yield batch
                        asked = clock()
                        stats.consumer += asked - given
                        stats.seconds = asked - began
                        bar.advance()
                        batch = item = None
                    ready = None
        finally:
            run.close()
        self.sampler.finished(plan)

    def close(self) -> None:
        """Ends all iterations of this loader and their threads. A loop that is left does so by itself."""
        for run in list(self._open):
            run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- state ---

    @property
    def epoch(self) -> int:
        """The epoch of the next `iter()`."""
        return self.sampler.epoch

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """The epoch of the next `iter()`; the one that is up keeps the position of a loaded state."""
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where training stands: after the last batch that was given out, whatever was read ahead. JSON below 400 bytes."""
        if self._now is not None:
            self.sampler.consumed(*self._now)
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next `iter()` goes on after the state, with any number of ranks and threads. ValueError if it is of another order."""
        self.sampler.load_state_dict(state)
        self._now = None

    def reweight(self, weights: Sequence[SupportsIndex]) -> None:
        """Of a Mix: other weights from here on. Leave the loop, call this, iterate again: it goes on after the last batch given out."""
        if self._now is not None:
            self.sampler.consumed(*self._now)
            self._now = None
        self.sampler.reweight(weights)

    def stats(self) -> Stats:
        """Where the time of the current epoch (or the last one) went; `print(loader.stats())` says it in words."""
        return self._stats


class Run:
    """One epoch under way: which steps make a piece of work, and the threads that do them."""

    def __init__(self, loader: Loader, plan: Plan, stats: Stats) -> None:
        self._plan, self._stats, self._counting = plan, stats, threading.Lock()
        self._transform, self._finish, self._masked, self._on_error = loader._transform, loader._finish, loader._masked, loader._on_error
        begin = plan.begin
        self._seeds = Seeds(begin.seed, begin.stream, begin.epoch) if loader._seeded else None
        self._group = loader._group
        self.groups = -(-plan.steps // self._group)
        self._processes: Processes | None = None
        self._fetch: Fetch
        if loader._columns is not None:
            self._fetch = loader._columns
            if loader._chunked:
                assert isinstance(plan.order, Window)
                self._fetch = Chunked(loader._columns, plan.order.starts, plan.order.lanes * (plan.order.window + 1))
        else:
            examples = Examples(loader._rows, loader._transform_example, loader._collate, self._seeds)
            self._fetch = examples
            if loader._processes and self.groups:
                self._processes = Processes(examples, loader._processes, start_method=loader._start_method, timeout=loader._timeout)
                self._fetch = self._processes.run
        threads = min(loader._threads, self.groups)
        stats.threads = threads
        own_code = loader._by_example or loader._transform is not None
        try:
            self.pipeline = Pipeline(self._make, self.groups, threads=threads, limit=loader._prefetch, timeout=loader._timeout, helps=not own_code)
        except BaseException:
            if self._processes is not None:
                self._processes.close()
            raise

    def ends_with(self, batches: Iterator[Any]) -> None:
        """Closes when the iterator goes, even one that was never begun, or when the interpreter ends."""
        self._end = weakref.finalize(batches, end, self.pipeline, self._processes)

    def close(self) -> None:
        self._end()

    def _make(self, number: int) -> tuple[list[Any], int]:
        """The batches of a piece of work, each with its rows and bytes; if one fails, those before it and a Failure."""
        first = number * self._group
        last = min(first + self._group, self._plan.steps)
        ready: list[Any] = []
        size = 0
        try:
            for part in self._read(first, last):
                size += self._batches(*part, ready)
        except Exception as error:
            if not ready:
                raise
            ready.append(Failure(error))
        return ready, size

    def _read(self, first: int, last: int) -> Iterator[Part]:
        """The columns of some steps, at once; step by step if that fails, so that those before the bad one are not lost."""
        began = time.perf_counter()
        rows, counts, masks = self._plan.rows_of(first, last)
        try:
            part = self._fetch(rows), rows, counts, masks
        except NOT_OF_A_ROW:
            raise
        except Exception:
            if self._on_error != "raise":
                part = self._without_bad(rows, counts, masks)
            elif last - first == 1:
                raise
            else:
                for step in range(first, last):
                    yield from self._read(step, step + 1)
                return
        self._stats.reading += time.perf_counter() - began
        yield part

    def _batches(self, columns: Any, rows: np.ndarray, counts: list[int], masks: list[Any], ready: list[Any]) -> int:
        """Appends the batches of the columns of some steps; returns the bytes of all of them."""
        began = time.perf_counter()
        size = max(1, size_of(columns))
        start = 0
        for batch, count, mask in zip(cut(columns, counts), counts, masks, strict=True):
            if self._masked:
                batch = with_mask(batch, np.ones(count, np.bool_) if mask is None else mask)
            if self._transform is not None:
                batch = self._transform(batch) if self._seeds is None else self._transform(batch, self._seeds.at(int(rows[start]) if count else 0))
            ready.append((self._finish(batch), count, size * count // max(1, len(rows))))
            start += count
        self._stats.transforming += time.perf_counter() - began
        return size

    def _without_bad(self, rows: np.ndarray, counts: list[int], masks: list[Any]) -> tuple[Any, np.ndarray, list[int], list[Any]]:
        """The same piece of work where some rows cannot be read: these are left out, or others of their batch stand in for them."""
        good = np.array([self._is_good(row) for row in rows.tolist()], np.bool_)
        kept, kept_counts, kept_masks, start = [], [], [], 0
        for count, mask in zip(counts, masks, strict=True):
            at, fine = rows[start : start + count], good[start : start + count]
            start += count
            if self._on_error == "skip":
                at, mask = at[fine], None if mask is None else mask[fine]
            elif not fine.all():
                places = np.flatnonzero(fine)
                if len(places) == 0:
                    raise ValueError(f"no row of the batch that begins with row {at[0]} can be read: none can stand in")
                at = at[np.where(fine, np.arange(count), places[np.arange(count) % len(places)])]
            kept.append(at)
            kept_counts.append(len(at))
            kept_masks.append(mask)
        rows = np.concatenate(kept)
        return self._fetch(rows), rows, kept_counts, kept_masks

    def _is_good(self, row: int) -> bool:
        try:
            self._fetch(np.array([row], np.int64))
        except NOT_OF_A_ROW:
            raise
        except Exception as error:
            with self._counting:
                self._stats.skipped += 1
                if len(self._stats.skips) < SKIPS_KEPT:
                    self._stats.skips.append((row, f"{type(error).__name__}: {error}"))
            return False
        return True


def end(pipeline: Pipeline, processes: Processes | None) -> None:
    if processes is not None:
        processes.stop()
    pipeline.close()
    if processes is not None:
        processes.close()


def group_steps(loader: Loader, rows: int) -> int:
    """How many batches are read at once."""
    size = row_bytes(loader._rows) * rows
    most = min(GROUP_BYTES, loader._prefetch // (2 * max(1, loader._threads)))
    return max(1, min(GROUP_STEPS, int(most // max(size, 1)), len(loader) // (4 * max(1, loader._threads))))


def row_bytes(dataset: Any) -> float:
    """Mean bytes of a row, decoded; a guess where the dataset does not say."""
    return dataset.row_bytes if isinstance(dataset, AtlasDataset) else 4096.0


def with_mask(batch: Any, mask: np.ndarray) -> Any:
    """The batch and which of its rows are no repetitions: a column "mask" of a dict, else (batch, mask)."""
    if not isinstance(batch, dict):
        return batch, mask
    if "mask" in batch:
        raise ValueError("tail='pad' adds a column 'mask', which the dataset has already: use tail='short' or 'drop', or select other columns")
    return {**batch, "mask": mask}


def finisher(format: str, pin: bool) -> Callable[[Any], Any]:
    """What a batch passes through last."""
    if format == "numpy":
        if pin:
            raise ValueError("pin_memory is for format='torch'")
        return lambda batch: batch
    from atlas_ds.loader.torch import need_torch, pinned, to_torch

    need_torch("format='torch'")
    return (lambda batch: pinned(to_torch(batch))) if pin else to_torch
