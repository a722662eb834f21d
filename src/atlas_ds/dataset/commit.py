"""Reads the current manifest of a folder, and publishes another one atomically. The content of a manifest is in manifest.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas_ds.dataset.manifest import MAX_BYTES, Manifest, Ranges, parse_manifest
from atlas_ds.dataset.names import MANIFEST, is_shard_name
from atlas_ds.errors import AtlasError, CommitConflict
from atlas_ds.schema.schema import Schema
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.totals import Totals, measured_icc, sum_of_totals
from atlas_ds.store.files import write_file
from atlas_ds.store.lock import locked
from atlas_ds.store.regular import read_regular


def read_current(folder: Path) -> bytes | None:
    """Returns the bytes of the current manifest of a folder, unchecked; None if there is none."""
    try:
        return read_regular(folder / MANIFEST, MAX_BYTES)
    except FileNotFoundError:
        return None


def shard_names(folder: Path, manifest: bytes | None) -> set[str]:
    """Returns the names of the shards of a manifest; of a damaged one all shards in its folder, which it may have named."""
    if manifest is None:
        return set()
    try:
        return {shard.path for shard in parse_manifest(manifest, str(folder / MANIFEST)).shards}
    except AtlasError:
        return {file.name for file in folder.iterdir() if is_shard_name(file.name)}


@dataclass(frozen=True, slots=True)
class LockedFolder:
    """A folder while it is locked for a commit. current: the bytes of its manifest; None if there is none."""

    path: Path
    current: bytes | None

    def publish(self, data: bytes, mark: str | None = None) -> None:
        """Replaces the manifest atomically: the only place where a dataset changes. mark: of the temporary file's name."""
        write_file(self.path, MANIFEST, data, mark)


@contextmanager
def locked_for_commit(folder: Path) -> Iterator[LockedFolder]:
    """Locks a folder, so that nobody else publishes, and reads its current manifest."""
    with locked(folder):
        yield LockedFolder(folder, read_current(folder))


def commit(folder: Path, manifest: Manifest, *, expected: bytes | None) -> None:
    """Publishes a manifest if the current one is the expected one (its bytes; None: there is none). CommitConflict otherwise."""
    data = manifest.dumps()
    with locked_for_commit(folder) as target:
        if target.current != expected:
            why = "another writer published while this one was writing: open the dataset again and append to the current one"
            raise CommitConflict(f"{folder / MANIFEST}: {why}")
        target.publish(data)


def appended(
    folder: Path,
    base: Manifest | None,
    schema: Schema,
    done: Mapping[str | None, Sequence[ShardInfo]],
    totals: Mapping[str | None, Totals],
    *,
    metadata: dict[str, Any] | None,
    icc: Sequence[str],
) -> Manifest:
    """Returns the manifest of a dataset plus finished shards, by split. CommitConflict if their columns differ.

    base: the current manifest, or None. totals: of the notes of the finished shards, by split. metadata: None keeps that of base. icc: columns whose
    ICC is computed.
    """
    if base is not None and (base.schema != schema or (base.shards and not set(icc) <= set(base.icc))):
        why = "another writer published while this one was writing, with other columns (or icc=) than these rows have"
        raise CommitConflict(f"{folder}: {why}:\n{base.schema}\nthese rows: {schema}")
    shards = list(base.shards) if base else []
    splits: dict[str, Ranges] = dict(base.splits) if base else {}
    row = sum(shard.rows for shard in shards)
    for split, infos in done.items():
        start, row = row, row + sum(info.rows for info in infos)
        shards += infos
        if split is not None and row > start:
            splits[split] = (*splits.get(split, ()), (start, row))
    added = sum_of_totals(([base.totals] if base and base.shards else []) + [totals[split] for split in done if split in totals])
    measured = measured_icc(added if shards else None, icc, schema, str(folder))
    added.icc = {name: added.icc[name] for name in measured if name in added.icc}
    return Manifest(schema, tuple(shards), splits, metadata if metadata is not None else base.metadata if base else {}, measured, added)
