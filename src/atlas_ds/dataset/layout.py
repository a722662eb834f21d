"""How the rows of a dataset are stored, as far as an order depends on it: chunks, their cost, and a name for the rows. It reads no values."""

from __future__ import annotations

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest, roots_digest


def fingerprint(manifest: Manifest, rows: range | np.ndarray) -> str:
    """Returns a short name of these rows, which changes if a row is added, changed or moved. Metadata and splits are ignored."""
    dataset = roots_digest(manifest.shards)[:16]
    if isinstance(rows, range):
        return dataset if rows == range(manifest.rows) else f"{dataset}:{rows.start}:{rows.stop}:{rows.step}"
    return f"{dataset}:{_core.hash64(np.ascontiguousarray(rows).tobytes()):016x}"


def decodes_blocks(shard_set: _core.ShardSet, projection: _core.Projection, row: int) -> bool:
    """Whether reading a row decodes a block, because a column is compressed per page. Looks at the shard of a row."""
    return shard_set.block_rows(projection, row).rows_per_block > 0


def chunk_bytes(shard_set: _core.ShardSet, projection: _core.Projection, row: int) -> float:
    """Mean bytes of a chunk, decoded, by the blocks in the shard of a row."""
    k = int(shard_set.shard_numbers(np.array([row]))[0])
    shard = shard_set.shard(k)
    return smallest_block(shard_set, projection, k) * shard.raw_bytes / max(1, shard.rows)


def chunk_rows(shard_set: _core.ShardSet, projection: _core.Projection, shards: list[int], rows: range | np.ndarray) -> tuple[int, int] | np.ndarray:
    """Returns the rows of each chunk, which is stored and decoded together: blocks, if rows is a range without gaps; else (rows, 256).

    Opens every shard. shards: rows of each.
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
    """Rows per block in shard k: of the columns that are decoded per block, or else of all."""
    groups = [blocks.rows_per_block for blocks in shard_set.groups_of(projection, k).values()]
    coded = shard_set.block_rows(projection, shard_set.first_row(k)).rows_per_block
    return max(1, coded or min(groups))
