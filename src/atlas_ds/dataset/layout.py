"""How the rows of a dataset are stored, as far as an order depends on it: chunks, their cost, and a name for the rows. It reads no values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest, roots_digest
from atlas_ds.shard.info import ShardInfo


def fingerprint(manifest: Manifest, rows: range | np.ndarray) -> str:
    """Returns a short name of these rows, which changes if a row is added, changed or moved. Metadata and splits are ignored."""
    dataset = roots_digest(manifest.shards)[:16]
    if isinstance(rows, range):
        return dataset if rows == range(manifest.rows) else f"{dataset}:{rows.start}:{rows.stop}:{rows.step}"
    return f"{dataset}:{_core.hash64(np.ascontiguousarray(rows).tobytes()):016x}"


def decodes_blocks(shard_set: _core.ShardSet, projection: _core.Projection, row: int) -> bool:
    """Whether reading a row decodes a block, because a column is compressed per page. Looks at the shard of a row."""
    return shard_set.block_rows(projection, row).rows_per_block > 0


REQUEST_BYTES = 256 << 10, 512 << 10  # smaller ones leave most of a link unused; of larger ones, lanes that begin together ask for too much at once
REQUEST_ROWS = 10  # in a request between the two: a first batch of small rows needs a chunk for each of them, so theirs are small


def rows_per_chunk(shard: ShardInfo, *, remote: bool) -> int:
    """Rows that are read together: a block; of a store at a URL as many blocks as a request should have."""
    if not remote:
        return shard.chunk
    stored = max(1.0, shard.bytes / max(1, shard.rows))
    least, most = REQUEST_BYTES
    blocks = round(min(max(least, REQUEST_ROWS * stored), most) / (shard.chunk * stored))
    return min(shard.chunk * max(1, blocks), max(1, shard.rows))


def chunk_bytes(shard: ShardInfo, *, remote: bool) -> float:
    """Mean bytes of a chunk of a shard, decoded."""
    return rows_per_chunk(shard, remote=remote) * shard.raw / max(1, shard.rows)


def stored_row_bytes(shards: Sequence[ShardInfo]) -> float:
    """Mean bytes of a row, as it is stored."""
    return sum(shard.bytes for shard in shards) / max(1, sum(shard.rows for shard in shards))


def chunk_count(shards: Sequence[ShardInfo]) -> int:
    """Chunks that the shards have by what the manifest says."""
    return sum(-(-shard.rows // shard.chunk) for shard in shards)


def chunk_rows(shards: Sequence[ShardInfo], rows: range | np.ndarray, *, remote: bool) -> tuple[int, int] | np.ndarray:
    """Returns the rows of each chunk, which is stored and read together: blocks, if rows is a range without gaps; else (rows, 256)."""
    if not isinstance(rows, range) or rows.step != 1 or len(rows) == 0:
        return len(rows), 256
    counts = np.array([shard.rows for shard in shards], np.int64)
    per = np.array([rows_per_chunk(shard, remote=remote) for shard in shards], np.int64)
    firsts = np.cumsum(counts) - counts
    low, high = np.maximum(firsts, rows.start), np.minimum(firsts + counts, rows.stop)
    inside = low < high
    firsts, per, low, high = firsts[inside], per[inside], low[inside], high[inside]
    start = (low - firsts + per - 1) // per  # number in its shard of the first chunk that begins in the rows
    many = (high - firsts + per - 1) // per - start
    number = np.arange(int(many.sum()), dtype=np.int64) - np.repeat(np.cumsum(many) - many, many) + np.repeat(start, many)
    borders = [np.array([rows.start, rows.stop], np.int64), low, np.repeat(firsts, many) + number * np.repeat(per, many)]
    return np.diff(np.unique(np.concatenate(borders)))
