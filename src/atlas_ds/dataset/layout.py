"""What a dataset tells those who choose an order for it: what is stored together, what that costs, and a name for its rows. No reading of values."""

from __future__ import annotations

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest, roots_digest


def fingerprint(manifest: Manifest, rows: range | np.ndarray) -> str:
    """A short name of these rows of the dataset: another one if a row is added, changed or moved. Metadata and splits do not count."""
    whole = roots_digest(manifest.shards)[:16]
    if isinstance(rows, range):
        return whole if rows == range(manifest.rows) else f"{whole}:{rows.start}:{rows.stop}:{rows.step}"
    return f"{whole}:{_core.hash64(np.ascontiguousarray(rows).tobytes()):016x}"


def decodes_blocks(shard_set: _core.ShardSet, projection: _core.Projection, row: int) -> bool:
    """Whether a row costs the decoding of a block: some column is compressed by whole pages. Looks at the shard of a row."""
    return shard_set.block_rows(projection, row)[1] > 0


def chunk_bytes(shard_set: _core.ShardSet, projection: _core.Projection, row: int) -> float:
    """Mean bytes of a chunk, decoded, by the blocks in the shard of a row."""
    k = int(shard_set.shard_numbers(np.array([row]))[0])
    shard = shard_set.shard(k)
    return smallest_block(shard_set, projection, k) * shard.raw_bytes / max(1, shard.rows)


def chunk_rows(shard_set: _core.ShardSet, projection: _core.Projection, shards: list[int], rows: range | np.ndarray) -> tuple[int, int] | np.ndarray:
    """Rows of what is stored (and decoded) together: blocks, for rows of the shard_set in their order; else (rows, 256). Opens every shard.

    shards: rows of each.
    """
    if not isinstance(rows, range) or rows.step != 1 or len(rows) == 0:
        return len(rows), 256
    first, borders = 0, [np.array([rows.start, rows.stop], np.int64)]
    for k, count in enumerate(shards):
        low, high = max(first, rows.start), min(first + count, rows.stop)
        if low < high:
            per = smallest_block(shard_set, projection, k)
            borders.append(np.arange(first + (low - first + per - 1) // per * per, high, per, dtype=np.int64))
            borders.append(np.array([low], np.int64))
        first += count
    return np.diff(np.unique(np.concatenate(borders)))


def smallest_block(shard_set: _core.ShardSet, projection: _core.Projection, k: int) -> int:
    """Rows per block in shard k: of the columns that are decoded by whole blocks, or else of all."""
    groups = [per for per, _ in shard_set.groups_of(projection, k).values()]
    coded = shard_set.block_rows(projection, shard_set.first_row(k))[1]
    return max(1, coded or min(groups))
