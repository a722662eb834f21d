"""shuffle: writes a dataset again in a random order, in bounded memory. For data whose neighbours are alike; docs/order.md defines the order.

Rows that do not fit into memory are sorted in two passes. The first writes windows of the source to a temporary dataset, each with its rows in
the order of their buckets; a bucket is a range of places in the result. The second reads bucket after bucket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, SupportsIndex, Unpack

import numpy as np
import numpy.typing as npt

from atlas_ds.dataset.manifest import Manifest, Ranges
from atlas_ds.dataset.open import Handle, OpenOptions, dataset_in, open_dataset
from atlas_ds.dataset.options import WriterOptions, refuse_unknown
from atlas_ds.dataset.stats import totals_of
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, LimitError
from atlas_ds.order import Permutation, keys
from atlas_ds.progress import Progress
from atlas_ds.sizes import parse_size
from atlas_ds.store.files import refuse_overlap
from atlas_ds.store.local import LocalStore, open_store
from atlas_ds.store.store import Store

Rows = npt.NDArray[np.int64]
Along = Callable[[Permutation, int, int], Rows]
ROW_BYTES, LEAF_BYTES = 200, 100  # that an example costs as Python objects, beside its values
MAX_RUNS = 1 << 30  # runs times splits: bytes of a table
INDEX_BYTES = 64  # that a row costs in arrays of row numbers
SCRATCH_SHARD = 256 << 20
REMOTE_CACHE = 64 << 20  # bytes of blocks of a source that is not a folder
TABLE_ROWS = 65_536  # up to here a permutation is a table, and inverting it costs as much as looking one number up


def shuffle(
    src: str | os.PathLike[str] | Store,
    dst: str | os.PathLike[str] | Store,
    *,
    seed: SupportsIndex = 0,
    memory: str = "1GiB",
    progress: bool = True,
    storage_options: Mapping[str, Any] | None = None,
    **options: Unpack[WriterOptions],
) -> None:
    """Writes the rows of a dataset as another one, in a random order.

    The same seed gives the same bytes: see docs/guide/shuffle.md. Schema, metadata and splits stay;
    rows that are in the same splits (or in none) change places with each other only. The columns of
    `ds.icc` are measured again. Data larger than `memory` is written twice, first uncompressed to a
    hidden folder next to `dst` (for a store without one, in the system's temporary folder), which is
    removed at the end. An error or Ctrl-C leaves `dst` as it was.

    Parameters
    ----------
    src
        The dataset to read: its folder, URL or store. Rows at a URL may be read several times:
        `atlas.download` it first if it is large.
    dst
        The folder of the new dataset, or a store.
    seed
        Names the order. From 0 to 2^64 - 1.
    memory
        Bytes of rows and row numbers held at a time, such as "1GiB"; the writer's buffers, some 80
        MB with shards of 256MiB, are needed in addition.
    progress
        Show progress on stderr.
    storage_options
        Of `src`, with a URL: see AtlasDataset.
    options
        As for AtlasDatasetWriter.

    Raises
    ------
    FileExistsError
        A dataset already exists at `dst`, and `overwrite` was not given.
    """
    refuse_unknown("shuffle", options)
    _, budget = parse_size(memory, "memory")
    if budget is None:
        raise ValueError(f"memory={memory!r}: give bytes, such as '1GiB'")
    place, target = dataset_in(src, storage_options), open_store(dst, "dst")
    refuse_same(*place, target)
    source = open_dataset(OpenOptions(*place, None, "first", "mmap", True, REMOTE_CACHE))
    manifest = source.manifest
    order = Shuffle(manifest.rows, manifest.splits, keys.word("seed", seed))
    raw, row_bytes = measure(source)
    batch = max(1, budget // 8 // (row_bytes + ROW_BYTES + LEAF_BYTES * len(manifest.schema.leaves)))
    window = max(batch, budget // 2 // (row_bytes + INDEX_BYTES))
    writer = ShuffleWriter(target, schema=manifest.schema, metadata=manifest.metadata, icc=list(manifest.icc), **options)
    writer.splits = manifest.splits
    in_memory = raw <= budget
    with writer, Progress(manifest.rows * (1 if in_memory else 2), "shuffling", "rows", progress) as bar:
        if in_memory:
            for start, count in windows(manifest.rows, window):
                copy(source, order.take(start, count), writer, batch, bar)
            return
        with scratch_folder(target) as folder:
            scratch = Path(folder) / "rows"
            deal(source, order, scratch, window, batch, f"{min(budget // 4 + 1, SCRATCH_SHARD)}B", options.get("workers"), bar)
            gather(open_dataset(replace(source.options, store=LocalStore(scratch), file=None)), order, writer, window, batch, bar)


def refuse_same(source: Store, file: str | None, target: Store) -> None:
    """AtlasError if writing the target would overwrite the source, or files in it."""
    if source.folder is not None and target.folder is not None:
        refuse_overlap(source.folder if file is None else source.folder / file, target.folder)
    elif source.url == target.url:
        raise AtlasError(f"{target.url}: source and destination are the same; write to another store")


def scratch_folder(target: Store) -> TemporaryDirectory[str]:
    """A folder for the rows between the two passes: beside the target, whose disk has room for them."""
    if target.folder is None:
        return TemporaryDirectory(prefix="atlas-shuffle-")
    return TemporaryDirectory(prefix=f".{target.folder.name}-shuffle-", dir=target.folder.parent)


class ShuffleWriter(AtlasDatasetWriter):
    """A writer whose splits are row ranges known beforehand; they may overlap or leave rows out."""

    splits: dict[str, Ranges]

    def _manifest(self, base: Manifest | None) -> Manifest:
        return replace(super()._manifest(base), splits=self.splits)


class Shuffle:
    """Maps places in the result to rows of the source: rows in the same splits are one part, and each part is permuted.

    Parts are numbered by their first row. Row number i of a part goes to where row number j is, i = Permutation(rows of the part; keys.PLACES,
    seed, part)[j].
    """

    def __init__(self, rows: int, splits: Mapping[str, Ranges], seed: int) -> None:
        edges = {0, rows, *(edge for ranges in splits.values() for pair in ranges for edge in pair)}
        self._starts = np.array(sorted(edges), np.int64)  # of runs of rows that are in the same splits, and the end
        if (len(self._starts) - 1) * len(splits) > MAX_RUNS:
            raise LimitError(f"{len(splits):,} splits divide the rows into {len(self._starts) - 1:,} runs, more than shuffle supports: remove some splits")
        inside = np.zeros((len(self._starts) - 1, len(splits)), np.bool_)
        for number, ranges in enumerate(splits.values()):
            for start, stop in ranges:
                inside[np.searchsorted(self._starts, start) : np.searchsorted(self._starts, stop), number] = True
        names: dict[bytes, int] = {}
        self._parts = np.array([names.setdefault(one.tobytes(), len(names)) for one in inside], np.int64)
        lengths = np.diff(self._starts)
        self._before = np.zeros(len(lengths), np.int64)  # rows of the same part before each run
        self._runs: list[tuple[Rows, Rows]] = []  # of each part: first rows of its runs in the dataset, and in the part
        self._permutations: list[Permutation] = []
        for part in range(len(names)):
            own = self._parts == part
            ends = np.cumsum(lengths[own])
            self._before[own] = ends - lengths[own]
            self._runs.append((self._starts[:-1][own], self._before[own]))
            self._permutations.append(Permutation(int(ends[-1]), keys.PLACES, seed, part))

    def take(self, start: int, count: int) -> Rows:
        """Returns the rows of the source at places start, start + 1, ..."""
        return self._map(start, count, Permutation.take)

    def find(self, start: int, count: int) -> Rows:
        """Returns the places of the source's rows start, start + 1, ..."""
        return self._map(start, count, places_of)

    def _map(self, start: int, count: int, along: Along) -> Rows:
        out = np.empty(count, np.int64)
        at, stop = start, start + count
        while at < stop:
            run = int(np.searchsorted(self._starts, at, "right")) - 1
            end = min(stop, int(self._starts[run + 1]))
            part = int(self._parts[run])
            numbers = along(self._permutations[part], int(self._before[run] + at - self._starts[run]), end - at)
            in_dataset, in_part = self._runs[part]
            runs = np.searchsorted(in_part, numbers, "right") - 1
            out[at - start : end - start] = in_dataset[runs] + numbers - in_part[runs]
            at = end
        return out


def places_of(permutation: Permutation, first: int, count: int) -> Rows:
    """The inverse of Permutation.take."""
    if permutation.length <= TABLE_ROWS:
        return np.argsort(permutation.take(0, permutation.length))[first : first + count]
    return np.fromiter(map(permutation.find, range(first, first + count)), np.int64, count)


def measure(source: Handle) -> tuple[int, int]:
    """(bytes of all values, of a mean row of the shard with the largest ones)."""
    totals, shards = totals_of(source.manifest, source.shard_set), source.manifest.shards
    total = max(sum(shard.raw for shard in shards), totals.raw_bytes)  # without notes, values that repeat count once
    return total, max(totals.row_bytes, *(shard.raw // max(shard.rows, 1) for shard in shards), 0)


def windows(rows: int, window: int) -> Iterator[tuple[int, int]]:
    """(first, count) of runs of rows."""
    for start in range(0, rows, window):
        yield start, min(window, rows - start)


def copy(source: Handle, rows: Rows, writer: AtlasDatasetWriter, batch: int, bar: Progress) -> None:
    """Writes rows of the source in this order."""
    for start, count in windows(len(rows), batch):
        writer.extend(source.shard_set.examples(source.projection, rows[start : start + count]))
        bar.advance(count)


def deal(source: Handle, order: Shuffle, scratch: Path, window: int, batch: int, shard_size: str, workers: int | None, bar: Progress) -> None:
    """Writes the source window by window, each sorted by bucket; rows of one bucket keep their order."""
    schema, rows = source.manifest.schema, source.manifest.rows
    with AtlasDatasetWriter(scratch, shard_size, schema=schema, compression="none", dictionary=None, workers=workers) as writer:
        for start, count in windows(rows, window):
            buckets = order.find(start, count) // window
            copy(source, start + np.argsort(buckets, kind="stable"), writer, batch, bar)


def gather(scratch: Handle, order: Shuffle, writer: AtlasDatasetWriter, window: int, batch: int, bar: Progress) -> None:
    """Writes the rows of the temporary dataset bucket by bucket, in order. A bucket has as many rows as a window."""
    rows = scratch.manifest.rows
    done = np.zeros(-(-rows // window), np.int64)  # rows of each window that belong to earlier buckets, which come before those of this one
    for start, count in windows(rows, window):
        wanted = order.take(start, count)
        by_row = np.argsort(wanted)
        found, first, counts = np.unique(wanted[by_row] // window, return_index=True, return_counts=True)
        places = np.empty(count, np.int64)
        places[by_row] = np.arange(count) + np.repeat(found * window + done[found] - first, counts)
        done[found] += counts
        copy(scratch, places, writer, batch, bar)
