"""The loader: batches in the exact order, read ahead by threads, resumable at any batch. An epoch is in run.py."""

from __future__ import annotations

import inspect
import os
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, SupportsIndex, Unpack, get_args

from atlas_ds.dataset.concat import Concat
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.loader.ahead import far_fillings
from atlas_ds.loader.argument_names import DataLoaderOptions, understood
from atlas_ds.loader.collate import as_numpy
from atlas_ds.loader.fetch import Examples, columns_of, is_columnar
from atlas_ds.loader.mix import Mix
from atlas_ds.loader.pipeline import Failure
from atlas_ds.loader.processes import StartMethod
from atlas_ds.loader.run import EpochConfig, EpochRun
from atlas_ds.loader.stats import Stats
from atlas_ds.order import EpochPlan, Order, Sampler, Window, keys
from atlas_ds.order.options import Auto, LastBatch, Shuffle
from atlas_ds.order.sampler import described
from atlas_ds.progress import Progress
from atlas_ds.schema.tensors import need_torch, pinned, result_to_torch, to_torch
from atlas_ds.sizes import parse_bytes
from atlas_ds.text import printable

GROUP_BYTES = 2 << 20  # small batches are read together: one change of threads for so many bytes
GROUP_STEPS = 32
WARN_QUALITY = 1.5
OnError = Literal["raise", "skip", "replace"]
BatchFormat = Literal["torch", "numpy"]
ON_ERROR = get_args(OnError)
FORMATS = get_args(BatchFormat)


class Loader:
    """Batches of a dataset for training: each row once an epoch, resumable at any batch.

        loader = atlas.Loader(ds, batch_size=256, shuffle=True, seed=0)
        for epoch in range(10):
            for batch in loader:
                ...                          # save loader.state_dict() whenever you save the model
        loader.load_state_dict(state)        # resumes after the last batch returned

    docs/guide/train.md shows how to use it. A batch has the form of an example: a dict of columns,
    a tuple of columns, one column. Iterating again is the next epoch; a loop left by `break` begins
    its epoch again, unless a state is loaded. `Sampler` makes the order, threads read ahead. One
    thread at a time may iterate; its own threads end with the loop, or with `close`.

    Arguments as torch's `DataLoader` spells them are understood where they mean the same:
    `num_workers` (`num_threads`), `drop_last` (`last_batch="drop"` or "short"),
    `multiprocessing_context` (`start_method`), `persistent_workers`, `in_order`; for its other
    arguments a `TypeError` names what to use.

    Parameters
    ----------
    dataset
        An AtlasDataset, a view, a concat, a Mix, or anything with `len()` and `[i]`.
    batch_size
        Rows of this rank in a step. Give this or `global_batch_size`.
    global_batch_size
        Rows of all ranks together in a step, which the ranks must divide.
    shuffle
        "exact": all rows at random. "window": chunks at random, rows at random within windows of
        them. False: in order. True: the dataset's `default_shuffle`.
    seed
        From 0 to 2^64 - 1.
    rank, world_size
        Ints, or "auto": from `torch.distributed` if it is initialised, else from `RANK` and
        `WORLD_SIZE`. No process group is made.
    last_batch
        A last step that is not full: "drop" (what None means) leaves it out, "short" divides it
        evenly among the ranks, "pad" fills it with the epoch's first rows; then each batch has a
        bool column "mask", False where a row repeats.
    lanes, window
        For `shuffle="window"`: see docs/order.md#orders. None: 192 lanes, and windows of 32 chunks,
        or fewer where they have to be held decoded.
    substream
        From 0 to 2^64 - 1. Two orders of one dataset and seed that differ in it are independent.
    transform
        A function of each batch of NumPy columns, called in the loader's threads, before tensors
        are made.
    transform_example
        A function of each example.
    collate_fn
        A function that makes a batch of a list of examples. None: arrays of one shape and numbers
        are stacked, the rest are lists. For an empty batch it gets an empty list.
    transform_processes
        Processes that read and transform examples, for transforms that hold the GIL; 0: threads do.
    start_method
        How these processes are started. None: "forkserver".
    seeded
        Transforms get a second argument, a `numpy.random.Generator` that depends on seed, epoch and
        row only; for `transform(batch)` row is the first of the batch.
    num_threads
        Threads that read ahead. None: the cores, at most 8. 0: the loop itself reads.
    prefetch
        Bytes that may be ready or in work, such as "64MiB".
    format
        "torch": tensors. "numpy": arrays.
    pin_memory
        Tensors in page-locked memory, where there is an accelerator.
    on_error
        A bad sample (damaged bytes, an error in `transform_example`): "raise"; "skip": the batch is
        shorter; "replace": another row of the batch takes its place. The position advances all the
        same, and `stats().skips` tells which. A process that dies or hangs always raises. An empty
        batch (all rows skipped, or `last_batch="short"`) has the columns of row 0.
    timeout
        Seconds that the loop waits while nothing is finished. Not with `num_threads=0`, where the
        loop itself is what hangs.
    progress
        Show progress on stderr: one line in a terminal or a notebook, a line now and then in a log,
        nothing for short work.

    Raises
    ------
    LoaderTimeout
        While iterating: no batch was finished for `timeout` seconds; the text has the stacks of all
        threads.
    TypeError, ValueError
        An argument is wrong; the text says what to write instead.

    Attributes
    ----------
    dataset
        What the loader was given.
    sampler
        The `Sampler` that makes the order.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: SupportsIndex | None = None,
        *,
        global_batch_size: SupportsIndex | None = None,
        shuffle: Shuffle = True,
        seed: SupportsIndex = 0,
        rank: Auto = 0,
        world_size: Auto = 1,
        last_batch: LastBatch | None = None,
        lanes: SupportsIndex | None = None,
        window: SupportsIndex | None = None,
        substream: SupportsIndex = 0,
        transform: Callable[..., Any] | None = None,
        transform_example: Callable[..., Any] | None = None,
        collate_fn: Callable[[Sequence[Any]], Any] | None = None,
        transform_processes: int = 0,
        start_method: StartMethod | None = None,
        seeded: bool = False,
        num_threads: int | None = None,
        prefetch: int | str = "64MiB",
        format: BatchFormat = "torch",
        pin_memory: bool = False,
        on_error: OnError = "raise",
        timeout: float = 300.0,
        progress: bool = False,
        **others: Unpack[DataLoaderOptions],
    ) -> None:
        if others:
            own: dict[str, Any] = {"num_threads": num_threads, "collate_fn": collate_fn, "last_batch": last_batch, "start_method": start_method}
            own |= understood(others, own, ARGUMENTS)
            num_threads, collate_fn, last_batch, start_method = own["num_threads"], own["collate_fn"], own["last_batch"], own["start_method"]
        last_batch = "drop" if last_batch is None else last_batch
        start_method = "forkserver" if start_method is None else start_method
        if format not in FORMATS:
            raise ValueError(f"format={format!r}: must be 'torch' or 'numpy'")
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error={on_error!r}: must be 'raise', 'skip' or 'replace'")
        if not timeout > 0:
            raise ValueError(f"timeout={timeout!r}: must be seconds above 0, or math.inf to wait without end (what 0 means to a DataLoader)")
        if transform_processes and start_method not in get_args(StartMethod):
            raise ValueError(f"start_method={start_method!r}: must be 'forkserver' or 'spawn'; a fork of a process with threads may hang")
        check_dataset(dataset)
        for name, function in (("transform", transform), ("transform_example", transform_example), ("collate_fn", collate_fn)):
            if function is not None and not callable(function):
                raise TypeError(f"{name}={function!r:.80}: give a function")
        self.dataset = dataset
        rows = dataset.all if isinstance(dataset, Mix) else dataset
        self.sampler = Sampler(
            dataset,
            batch_size=batch_size,
            global_batch_size=global_batch_size,
            shuffle=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            last_batch=last_batch,
            lanes=lanes,
            window=window,
            substream=substream,
        )
        by_example = transform_example is not None or collate_fn is not None or transform_processes > 0 or not is_columnar(rows)
        cores = min(8, len(os.sched_getaffinity(0))) if num_threads is None else keys.count("num_threads", num_threads, 0)
        threads = keys.count("transform_processes", transform_processes, 0) or cores
        bytes_ahead = parse_bytes(prefetch, "prefetch")
        finish = finisher(format, pin_memory, own_code=by_example or transform is not None)
        self._progress = progress
        self._stats = Stats(by_example=by_example)
        self._now: tuple[EpochPlan, int] | None = None
        self._open: weakref.WeakSet[EpochRun] = weakref.WeakSet()
        self._check_length()
        order = self.sampler.plan().order
        self._check_quality(order)
        chunked = isinstance(order, Window) and not by_example and getattr(rows, "decodes_blocks", False)
        size = self.sampler.batch_size
        group = 1 if by_example else group_steps(row_bytes(rows) * size, len(self), bytes_ahead, threads)
        self._config = EpochConfig(
            # of all epochs, so that each finds the buffers of the last
            columns=None if by_example else columns_of(rows, 0 if chunked else size * group, alone=threads > 0),
            chunked=chunked,
            group=group,
            examples=Examples(rows, transform_example, collate_fn, None),
            transform=transform,
            seeded=seeded,
            finish=finish,
            masked=last_batch == "pad",
            on_error=on_error,
            threads=threads,
            processes=transform_processes,
            start_method=start_method,
            prefetch=bytes_ahead,
            timeout=timeout,
            filling=far_fillings(rows),
        )

    def _check_length(self) -> None:
        if len(self) == 0 < len(self.dataset):
            batch = self.sampler.batch_size * self.sampler.world_size
            warnings.warn(
                f"an epoch has no batches: {len(self.dataset):,} rows do not fill one of {batch:,}, and last_batch='drop' leaves it out. "
                "Use a smaller batch, or last_batch='short'",
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
        """The number of batches of the next `iter()`; the same on all ranks."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        """Yields the batches of one epoch, or of what is left of it."""
        plan = self.sampler.plan()
        last = self._stats
        stats = self._stats = Stats(quality=last.quality, quality_is_worst=last.quality_is_worst, by_example=last.by_example)
        self._now = plan, 0
        run = EpochRun(self._config, plan, stats)
        batches = self._batches(run, plan, stats)
        run.close_with(batches)
        self._open.add(run)
        return batches

    def _batches(self, run: EpochRun, plan: EpochPlan, stats: Stats) -> Iterator[Any]:
        clock = time.perf_counter
        began = asked = clock()
        done = 0
        try:
            with Progress(plan.steps, f"epoch {plan.begin.epoch}", "batches", self._progress) as bar:
                for number in range(run.groups):
                    ready = run.pipeline.get(number)
                    stats.most_bytes = run.pipeline.most_bytes
                    for item in ready:
                        run.pipeline.check_process()
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

    def __repr__(self) -> str:
        return f"Loader({described(self.sampler)}, epoch {self.epoch}, of {printable(repr(self.dataset), 300)})"

    # --- state ---

    @property
    def epoch(self) -> int:
        """The epoch of the next `iter()`."""
        return self.sampler.epoch

    def set_epoch(self, epoch: SupportsIndex) -> None:
        """Chooses the epoch of the next `iter()`.

        If it is the next epoch already, the position of a loaded state is kept.

        Parameters
        ----------
        epoch
            From 0.
        """
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Returns the position of training: after the last batch returned, whatever was read ahead.

        Returns
        -------
        dict
            Strings, ints, False and None; below 400 bytes as JSON.
        """
        if self._now is not None:
            self.sampler.consumed(*self._now)
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resumes: the next `iter()` continues after the state.

        The number of ranks and threads may differ.

        Parameters
        ----------
        state
            What `state_dict` returned.

        Raises
        ------
        ValueError
            The state belongs to another order.
        """
        self.sampler.load_state_dict(state)
        self._now = None

    def reweight(self, weights: Sequence[SupportsIndex]) -> None:
        """Changes the weights of a Mix from here on.

        Leave the loop, call this, iterate again: it resumes after the last batch returned.

        Parameters
        ----------
        weights
            Integers, one for each dataset.
        """
        if self._now is not None:
            self.sampler.consumed(*self._now)
            self._now = None
        self.sampler.reweight(weights)

    def stats(self) -> Stats:
        """Returns where the time of the current epoch (or the last one) went.

        `print(loader.stats())` says it in words.

        Returns
        -------
        Stats
            Numbers, listed below.
        """
        return self._stats


def check_dataset(dataset: Any) -> None:
    """TypeError that says what to write where something else was given."""
    if isinstance(dataset, str | os.PathLike):
        raise TypeError(f"a Loader reads a dataset, not a path: Loader(AtlasDataset({os.fspath(dataset)!r}), ...)")
    if isinstance(dataset, list | tuple) and dataset and all(isinstance(one, AtlasDataset | Concat) for one in dataset):
        raise TypeError("a Loader reads one dataset, not a list: Loader(atlas.concat([a, b]), ...), or atlas.Mix([(a, 1), (b, 1)]) in exact proportions")
    if isinstance(dataset, Mapping | type) or not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        what = f"the class {dataset.__name__}" if isinstance(dataset, type) else type(dataset).__name__
        raise TypeError(f"a Loader reads a dataset with len() and [i], not {what}")


ARGUMENTS = frozenset(inspect.signature(Loader.__init__).parameters) - {"self", "others"}


def group_steps(batch_bytes: float, steps: int, prefetch: int, threads: int) -> int:
    """How many batches are read at once."""
    parallel = max(1, threads)
    return max(1, min(GROUP_STEPS, int(min(GROUP_BYTES, prefetch // (2 * parallel)) // max(batch_bytes, 1)), steps // (4 * parallel)))


def row_bytes(dataset: Any) -> float:
    """Mean bytes of a row, decoded; a guess where the dataset does not say."""
    return dataset.row_bytes if isinstance(dataset, AtlasDataset) else 4096.0


def finisher(format: BatchFormat, pin: bool, *, own_code: bool) -> Callable[[Any], Any]:
    """What a batch passes through last. own_code: it may hold what a function of the user made."""
    if format == "numpy":
        if pin:
            raise ValueError("pin_memory is for format='torch'")
        return as_numpy if own_code else lambda batch: batch
    need_torch("format='torch'")
    convert = result_to_torch if own_code else to_torch
    return (lambda batch: pinned(convert(batch))) if pin else convert
