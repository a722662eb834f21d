"""The loader's three ways to read rows as columns: straight from the core, through a cache of decoded chunks, or example by
example. Several threads call a fetch at the same time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.concat import Concat
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.row_place import add_note, place_of
from atlas_ds.errors import CorruptError
from atlas_ds.forks import Lock
from atlas_ds.loader.buffers import Buffers
from atlas_ds.loader.collate import join_examples
from atlas_ds.order import keys
from atlas_ds.schema.batches import join, part, take

Fetch = Callable[[np.ndarray], Any]
"""int64 positions in the dataset -> a batch of those rows."""


def columns_of(dataset: Any, rows: int, *, alone: bool) -> Fetch:
    """Batches as `dataset.batch` returns them, but a list of columns as a tuple (a list is a column of values). Arrays of up to
    `rows` rows are in recycled buffers. alone: without the core's helper thread, because other threads read as well."""
    if not isinstance(dataset, AtlasDataset):
        return lambda at: dataset._columns(at)
    buffers = Buffers(dataset.schema.fields, rows) if rows and dataset.schema.container != "value" else None
    shard_set, projection, of_list = dataset.shard_set, dataset.projection, dataset.schema.container == "list"

    def fetch(at: np.ndarray) -> Any:
        out = buffers.acquire(len(at)) if buffers is not None and len(at) <= rows else None
        columns = shard_set.batch(projection, dataset.rows_at(at), out, alone)
        return tuple(columns) if of_list else columns

    return fetch


@dataclass(slots=True)
class OpenChunk:
    """The rows of a chunk once they have been read; `lock` is held during the read."""

    lock: Lock
    columns: Any = None
    read: bool = False


class Chunked:
    """Rows from chunks that stay decoded while their windows are open: for pages that are compressed as a unit.

    starts: the first row of each chunk, then the end. most: chunks to keep; the least recently used is dropped first.
    """

    def __init__(self, fetch: Fetch, starts: np.ndarray, most: int) -> None:
        self._fetch, self._starts, self._most = fetch, starts, most
        self._open: OrderedDict[int, OpenChunk] = OrderedDict()
        self._lock = Lock()

    def __call__(self, at: np.ndarray) -> Any:
        if len(at) == 0:
            return self._fetch(at)
        order = np.argsort(at, kind="stable")
        rows = at[order]
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        cuts = np.flatnonzero(np.diff(chunks)) + 1
        parts = []
        for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(rows)], strict=True):
            chunk = int(chunks[begin])
            try:
                parts.append(take(self._columns(chunk), rows[begin:end] - self._starts[chunk]))
            except CorruptError:  # somewhere in the chunk: read only these rows, which may be intact
                parts.append(self._fetch(rows[begin:end]))
        back = np.empty(len(at), np.int64)
        back[order] = np.arange(len(at))
        return join(parts, back)

    def _columns(self, chunk: int) -> Any:
        with self._lock.held:
            entry = self._open.get(chunk)
            if entry is None:
                entry = self._open[chunk] = OpenChunk(Lock())
                if len(self._open) > self._most:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(chunk)
        with entry.lock.held:
            if not entry.read:
                entry.columns = self._fetch(np.arange(self._starts[chunk], self._starts[chunk + 1]))
                entry.read = True
        return entry.columns


def is_columnar(dataset: Any) -> bool:
    """Whether `batch` returns what the examples hold: an Atlas dataset, no function mapped over it, no image decoded."""
    if isinstance(dataset, Concat):
        return all(isinstance(one, AtlasDataset | Concat) and is_columnar(one) and getattr(one, "convert", None) is None for one in dataset.datasets)
    return isinstance(dataset, AtlasDataset) and dataset.function is None and dataset.decode is None


@dataclass(frozen=True, slots=True)
class Seeds:
    """Random generators for transforms, a function of seed, epoch and row only: the same in every thread, process and rank."""

    seed: int
    substream: int
    epoch: int

    def at(self, row: int) -> np.random.Generator:
        key = _core.order_key(keys.TRANSFORM, self.substream, self.seed, self.epoch, row)
        return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True, slots=True)
class Examples:
    """Reads examples one by one, applies `transform` to each and collates them; picklable if the functions are."""

    dataset: Any
    transform: Callable[..., Any] | None
    collate_fn: Callable[[Sequence[Any]], Any] | None
    seeds: Seeds | None

    def __call__(self, at: np.ndarray) -> Any:
        if self.collate_fn is not None:
            examples = self.examples(at)
            try:
                return self.collate_fn(examples)
            except Exception as error:
                if len(at):
                    add_note(error, f"in collate_fn of {len(at)} rows, starting with row {at[0]}{place_of(self.dataset, int(at[0]))}")
                raise
        return join_examples(self.examples(at)) if len(at) else self._nothing()

    def _nothing(self) -> Any:
        """An empty batch: zero rows of the columns of row 0, if that can be read."""
        try:
            return part(join_examples(self.examples(np.zeros(1, np.int64))), 0, 0)
        except Exception:
            return []

    def examples(self, at: np.ndarray) -> list[Any]:
        rows = at.tolist()
        if isinstance(self.dataset, AtlasDataset | Concat):
            examples = self.dataset._examples(rows)
        elif hasattr(self.dataset, "__getitems__"):
            examples = self.dataset.__getitems__(rows)
        else:
            examples = [self.dataset[row] for row in rows]
        return list(examples) if self.transform is None else self._transformed(examples, rows)

    def _transformed(self, examples: Sequence[Any], rows: list[int]) -> list[Any]:
        assert self.transform is not None
        out: list[Any] = []
        try:
            if self.seeds is None:
                for example in examples:
                    out.append(self.transform(example))
            else:
                for example, row in zip(examples, rows, strict=True):
                    out.append(self.transform(example, self.seeds.at(row)))
        except Exception as error:
            row = rows[len(out)]
            add_note(error, f"in transform_example of row {row}{place_of(self.dataset, row)}")
            raise
        return out


def split_batch(columns: Any, sizes: Sequence[int]) -> list[Any]:
    """One batch as several; sizes: the rows of each."""
    if len(sizes) == 1:
        return [columns]
    ends = np.cumsum([0, *sizes]).tolist()
    return [part(columns, ends[k], ends[k + 1]) for k in range(len(sizes))]
