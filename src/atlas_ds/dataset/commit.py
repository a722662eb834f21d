"""Reads the current manifest of a store, and publishes another one atomically. The content of a manifest is in manifest.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from atlas_ds.dataset.manifest import MAX_BYTES, Manifest, Ranges, parse_manifest
from atlas_ds.dataset.names import MANIFEST, is_shard_name
from atlas_ds.errors import AtlasError, CommitConflict
from atlas_ds.schema.schema import Schema, with_all_names
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.totals import Totals, measured_icc, sum_of_totals
from atlas_ds.store.store import Store, place_of


class Current(NamedTuple):
    """The manifest of a store: its bytes, unchecked, and the version of its file. Both are None if there is none."""

    data: bytes | None
    version: str | None


def read_current(store: Store) -> Current:
    try:
        return Current(*store.read(MANIFEST, limit=MAX_BYTES))
    except FileNotFoundError:
        return Current(None, None)


def shard_names(store: Store, manifest: bytes | None) -> set[str]:
    """Returns the names of the shards of a manifest; of a damaged one all shards beside it, which it may have named."""
    if manifest is None:
        return set()
    try:
        return {shard.path for shard in parse_manifest(manifest, place_of(store, MANIFEST)).shards}
    except AtlasError:
        return {name for name in store.entries() if is_shard_name(name)}


def put_manifest(store: Store, data: bytes, *, expected: str | None, mark: str | None = None) -> None:
    """Replaces the manifest if its version is the expected one (None: there is none). CommitConflict otherwise.

    The client of a store may send a request again whose answer was lost: one that conflicts with itself has been published.
    """
    try:
        store.put(MANIFEST, data, expected=expected, mark=mark)
    except CommitConflict:
        if read_current(store).data != data:
            raise


def commit(store: Store, manifest: Manifest, *, expected: str | None) -> None:
    """Publishes a manifest if the version of the current one is the expected one (None: there is none). CommitConflict otherwise."""
    try:
        put_manifest(store, manifest.dumps(), expected=expected)
    except CommitConflict as cause:
        why = "another writer published while this one was writing: open the dataset again and append to the current one"
        raise CommitConflict(f"{place_of(store, MANIFEST)}: {why}") from cause


def appended(
    store: Store,
    base: Manifest | None,
    schema: Schema,
    done: Mapping[str | None, Sequence[ShardInfo]],
    totals: Mapping[str | None, Totals],
    *,
    metadata: dict[str, Any] | None,
    icc: Sequence[str],
) -> Manifest:
    """Returns the manifest of a dataset plus finished shards, by split. CommitConflict if their columns differ, or one of them is there already.

    base: the current manifest, or None. totals: of the notes of the finished shards, by split. metadata: None keeps that of base. icc: columns whose
    ICC is computed.
    """
    joined = schema if base is None else with_all_names(base.schema, schema)
    if base is not None and (joined is None or (base.shards and not set(icc) <= set(base.icc))):
        why = "another writer published while this one was writing, with other columns (or icc=) than these rows have"
        raise CommitConflict(f"{place_of(store)}: {why}:\n{base.schema}\nthese rows: {schema}")
    shards = list(base.shards) if base else []
    taken = {info.path for infos in done.values() for info in infos}.intersection(shard.path for shard in shards)
    if taken:  # where a store has no lock, two writers may begin with one number; the rows are equal then
        why = f"another writer that began at the same moment has published shards of the same names ({min(taken)}): write these rows again"
        raise CommitConflict(f"{place_of(store)}: {why}")
    splits: dict[str, Ranges] = dict(base.splits) if base else {}
    row = sum(shard.rows for shard in shards)
    for split, infos in done.items():
        start, row = row, row + sum(info.rows for info in infos)
        shards += infos
        if split is not None and row > start:
            splits[split] = (*splits.get(split, ()), (start, row))
    added = sum_of_totals(([base.totals] if base and base.shards else []) + [totals[split] for split in done if split in totals])
    measured = measured_icc(added if shards else None, icc, schema, place_of(store))
    added.icc = {name: added.icc[name] for name in measured if name in added.icc}
    assert joined is not None
    return Manifest(joined, tuple(shards), splits, metadata if metadata is not None else base.metadata if base else {}, measured, added)
