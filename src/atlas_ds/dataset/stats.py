"""What a dataset takes on disk, column by column: from its manifest, or from its shards where the manifest does not say. It reads no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest
from atlas_ds.shard.notes import shard_notes
from atlas_ds.shard.totals import Totals, add_column, shard_totals, sum_of_totals

SIZES = ("raw_bytes", "stored_bytes")


def totals_of(manifest: Manifest, shard_set: _core.ShardSet) -> Totals:
    """What the notes of all shards add up to. Opens them only if the manifest does not say."""
    if manifest.totals.columns is not None:
        return manifest.totals
    return sum_of_totals(shard_totals(info, shard_notes(shard_set.shard(k))) for k, info in enumerate(manifest.shards))


def stats_of(manifest: Manifest, shard_set: _core.ShardSet) -> dict[str, Any]:
    """See AtlasDataset.stats."""
    totals = totals_of(manifest, shard_set)
    columns = {path: copied(column) for path, column in (totals.columns or {}).items()}
    return {"rows": manifest.rows, "bytes": sum(shard.bytes for shard in manifest.shards), "raw_bytes": totals.raw_bytes, "columns": columns}


def copied(column: dict[str, Any]) -> dict[str, Any]:
    """One column as stats() shows it."""
    sizes = {name: column[name] for name in SIZES}
    counts = {name: dict(column[name]) for name in ("layouts", "codecs")}
    return sizes | counts | {"why": column["why"], "codec": codec_of(column)}


def codec_of(column: dict[str, Any]) -> str:
    return "+".join(sorted(column["codecs"])) or "none"


def summed_stats(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The stats of several datasets as those of one."""
    columns: dict[str, dict[str, Any]] = {}
    for part in parts:
        for name, column in part["columns"].items():
            add_column(columns, name, column, SIZES)
    for column in columns.values():
        column["codec"] = codec_of(column)
    return {**{key: sum(part[key] for part in parts) for key in ("rows", "bytes", "raw_bytes")}, "columns": columns}
