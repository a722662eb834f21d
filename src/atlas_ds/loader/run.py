"""One epoch in progress: splits its steps into pieces of work, turns each piece into batches, and owns the threads and
processes that do so."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from atlas_ds.dataset.row_place import add_note, place_of
from atlas_ds.errors import LoaderTimeout
from atlas_ds.loader.ahead import Ahead
from atlas_ds.loader.fetch import Chunked, Examples, Fetch, Seeds, split_batch
from atlas_ds.loader.pipeline import Failure, Pipeline
from atlas_ds.loader.processes import ProcessDied, Processes, StartMethod
from atlas_ds.loader.stats import Link, Stats
from atlas_ds.order import EpochPlan, Window
from atlas_ds.schema.batches import size_of
from atlas_ds.store.filling import Filling

MAX_SKIPS = 1000
NOT_OF_A_ROW = (LoaderTimeout, ProcessDied, MemoryError)  # not caused by a row: skipping rows would not help
Piece = tuple[Any, np.ndarray, list[int], list[Any]]
"""The columns of some steps, their row numbers, the rows per step, and the mask of each step."""


@dataclass(frozen=True, slots=True)
class EpochConfig:
    """What a loader does with rows. The fields that are arguments of Loader are documented there.

    columns reads rows as columns; if it is None, `examples` reads them one by one. chunked: read through a cache of decoded
    chunks. group: steps that are read by one call. finish: the last function applied to a batch. filling: of the datasets whose
    blocks come from stores.
    """

    columns: Fetch | None
    chunked: bool
    group: int
    examples: Examples
    transform: Callable[..., Any] | None
    seeded: bool
    finish: Callable[[Any], Any]
    masked: bool
    on_error: str
    threads: int
    processes: int
    start_method: StartMethod
    prefetch: int
    timeout: float
    filling: list[Filling]


class EpochRun:
    """The remaining steps of an epoch, as pieces of work that are done ahead of the consumer."""

    def __init__(self, config: EpochConfig, plan: EpochPlan, stats: Stats) -> None:
        self._config, self._plan, self._stats, self._counting = config, plan, stats, threading.Lock()
        begin = plan.begin
        self._seeds = Seeds(begin.seed, begin.substream, begin.epoch) if config.seeded else None
        self.groups = -(-plan.steps // config.group)
        self._processes: Processes | None = None
        self._fetch = self._make_fetch()
        stats.threads = threads = min(config.threads, self.groups)
        own_code = config.columns is None or config.transform is not None
        self._ahead: Ahead | None = None
        try:
            if config.filling and self.groups and not (config.processes and all(one.cache is None for one in config.filling)):
                stats.links = [Link(one) for one in config.filling]
                self._ahead = Ahead(config.examples.dataset, plan, config.group, self.groups, config.prefetch)
            self.pipeline = Pipeline(self._make, self.groups, threads=threads, limit=config.prefetch, timeout=config.timeout, inline=not own_code)
        except BaseException:
            if self._ahead is not None:
                self._ahead.close()
            if self._processes is not None:
                self._processes.close()
            raise

    def _make_fetch(self) -> Fetch:
        config, order = self._config, self._plan.order
        if config.columns is not None:
            if not config.chunked:
                return config.columns
            assert isinstance(order, Window)
            return Chunked(config.columns, order.starts, order.lanes * (order.window + 1))
        examples = replace(config.examples, seeds=self._seeds)
        if not config.processes or not self.groups:
            return examples
        self._processes = Processes(examples, config.processes, start_method=config.start_method, timeout=config.timeout)
        return self._processes.run

    def close_with(self, batches: Iterator[Any]) -> None:
        """Closes this run when the iterator is collected, even if it was never started, or when the interpreter exits."""
        self._end = weakref.finalize(batches, end, self.pipeline, self._ahead, self._processes)

    def close(self) -> None:
        self._end()

    def _make(self, number: int) -> tuple[list[Any], int]:
        """The batches of one piece of work, each with its rows and bytes. If one fails: those before it, then a Failure."""
        first = number * self._config.group
        last = min(first + self._config.group, self._plan.steps)
        ready: list[Any] = []
        size = 0
        kept = [] if self._ahead is None else self._ahead.wait(number)
        try:
            for part in self._read(first, last):
                size += self._batches(*part, ready)
        except Exception as error:
            if not ready:
                raise
            ready.append(Failure(error))
        finally:
            for one in kept:
                one.exit()
        return ready, size

    def _read(self, first: int, last: int) -> Iterator[Piece]:
        """The columns of some steps, read by one call; step by step if that fails, to keep the steps before the bad one."""
        began = time.perf_counter()
        rows, counts, masks = self._plan.rows_of(first, last)
        try:
            part = self._fetch(rows), rows, counts, masks
        except NOT_OF_A_ROW:
            raise
        except Exception:
            if self._config.on_error != "raise":
                part = self._without_bad(rows, counts, masks)
            elif last - first == 1:
                raise
            else:
                for step in range(first, last):
                    yield from self._read(step, step + 1)
                return
        with self._counting:
            self._stats.reading += time.perf_counter() - began
        yield part

    def _batches(self, columns: Any, rows: np.ndarray, counts: list[int], masks: list[Any], ready: list[Any]) -> int:
        """Appends the batches of the columns of some steps; returns the bytes of all of them."""
        began = time.perf_counter()
        transform = self._config.transform
        size = max(1, size_of(columns))
        start = 0
        for batch, count, mask in zip(split_batch(columns, counts), counts, masks, strict=True):
            if self._config.masked:
                batch = with_mask(batch, np.ones(count, np.bool_) if mask is None else mask)
            first = int(rows[start]) if count else 0
            if transform is not None:
                try:
                    batch = transform(batch) if self._seeds is None else transform(batch, self._seeds.at(first))
                except Exception as error:
                    where = f"row {first}{place_of(self._config.examples.dataset, first)}"
                    add_note(error, f"in transform of a batch of {count} rows, starting with {where}")
                    raise
            ready.append((self._config.finish(batch), count, size * count // max(1, len(rows))))
            start += count
        with self._counting:
            self._stats.transforming += time.perf_counter() - began
        return size

    def _without_bad(self, rows: np.ndarray, counts: list[int], masks: list[Any]) -> tuple[Any, np.ndarray, list[int], list[Any]]:
        """The same piece of work without the rows that cannot be read: skipped, or replaced by other rows of their batch."""
        good = np.array([self._is_good(row) for row in rows.tolist()], np.bool_)
        kept, kept_counts, kept_masks, start = [], [], [], 0
        for count, mask in zip(counts, masks, strict=True):
            at, fine = rows[start : start + count], good[start : start + count]
            start += count
            if self._config.on_error == "skip":
                at, mask = at[fine], None if mask is None else mask[fine]
            elif not fine.all():
                places = np.flatnonzero(fine)
                if len(places) == 0:
                    raise ValueError(f"no row of the batch that begins with row {at[0]} can be read, so none can replace the others")
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
                if len(self._stats.skips) < MAX_SKIPS:
                    self._stats.skips.append((row, f"{type(error).__name__}: {error}"))
            return False
        return True


def end(pipeline: Pipeline, ahead: Ahead | None, processes: Processes | None) -> None:
    if processes is not None:
        processes.stop()
    if ahead is not None:
        ahead.close()
    pipeline.close()
    if processes is not None:
        processes.close()


def with_mask(batch: Any, mask: np.ndarray) -> Any:
    """The batch, and a mask that is False for repeated rows: a column "mask" in a dict, otherwise (batch, mask)."""
    if not isinstance(batch, dict):
        return batch, mask
    if "mask" in batch:
        raise ValueError(
            "last_batch='pad' adds a column 'mask', which the dataset already has: "
            "use last_batch='short' or 'drop', or select other columns"
        )
    return {**batch, "mask": mask}
