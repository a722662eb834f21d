"""Which rows a split or a view has, as arrays; large ones are made only after the shards have confirmed the manifest."""

from __future__ import annotations

import numpy as np

from atlas_ds.dataset.manifest import Ranges
from atlas_ds.dataset.open import Handle
from atlas_ds.errors import LimitError
from atlas_ds.text import listed

CONFIRMED = 1 << 22  # rows up to which an array (32 MB) is made before shards confirm them


def confirm(handle: Handle, ranges: Ranges) -> None:
    """Opens the shards of these rows, so that their footers are compared with the manifest, before an array of many row numbers is made."""
    if sum(stop - start for start, stop in ranges) <= CONFIRMED:
        return
    ends = np.cumsum([shard.rows for shard in handle.manifest.shards])
    starts, stops = np.array([part for part in ranges if part[0] < part[1]], np.int64).T
    touched = np.zeros(len(ends) + 1, np.int64)
    np.add.at(touched, np.searchsorted(ends, starts, "right"), 1)
    np.add.at(touched, np.searchsorted(ends, stops, "left") + 1, -1)
    for k in np.flatnonzero(np.cumsum(touched[:-1])).tolist():
        handle.shard_set.shard(k)


def rows_of(ranges: Ranges, where: str) -> np.ndarray:
    """Returns the rows of several ranges, in order."""
    starts, stops = np.array(ranges, np.int64).reshape(-1, 2).T
    lengths = stops - starts
    total = int(lengths.sum())
    try:
        return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(total)
    except MemoryError:
        what = f"{total:,} rows in {len(ranges):,} ranges"
        raise LimitError(f"{where}: {what}: their numbers need more memory than is available; read a slice of the dataset") from None


def rows_of_split(handle: Handle, split: str | None) -> range | np.ndarray:
    manifest = handle.manifest
    if split is None:
        return range(manifest.rows)
    parts: Ranges | None = manifest.splits.get(split)
    if parts is None:
        cure = "" if manifest.splits else " (the writer named none; ds.split(0.8, seed=0) makes parts)"
        raise KeyError(f"no split {split!r:.80}; the splits are: {listed(manifest.splits)}{cure}")
    if len(parts) == 1:
        return range(*parts[0])
    confirm(handle, parts)
    return rows_of(parts, f"{handle.options.path}: split {split!r}")
