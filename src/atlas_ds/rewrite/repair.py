"""repair: copies the intact rows of a damaged dataset, or shard file, to a new dataset."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import MAX_BYTES, Manifest, Ranges, parse_manifest, parse_members
from atlas_ds.dataset.names import MANIFEST, SUFFIX, resembles_shard
from atlas_ds.dataset.verify import existing_dataset
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, StoreError
from atlas_ds.progress import Progress
from atlas_ds.schema.schema import Schema, has_labels, with_all_names
from atlas_ds.shard.open import open_shard, open_stored, shard_schema
from atlas_ds.shard.salvage import salvage
from atlas_ds.shard.verify import verify_opened
from atlas_ds.store.local import open_store
from atlas_ds.store.store import Store, place_of
from atlas_ds.store.temporary import TEMPORARY
from atlas_ds.text import printable


@dataclass(slots=True)
class RepairReport:
    """What `repair` saved.

    Attributes
    ----------
    rows_kept, rows_lost
        Rows of the new dataset, and rows that are lost as far as that is known.
    shards
        Of each file: its name, rows kept, rows lost (-1: unknown), and the reason ("intact" if it is
        intact).
    manifest
        What was wrong with the manifest; "" if nothing was.
    splits_dropped
        A pair for each split that could not be kept: its name and the reason.
    """

    rows_kept: int = 0
    rows_lost: int = 0
    shards: list[tuple[str, int, int, str]] = field(default_factory=list)
    manifest: str = ""
    splits_dropped: list[tuple[str, str]] = field(default_factory=list)

    def __repr__(self) -> str:
        damaged = sum(reason != "intact" for _, _, _, reason in self.shards)
        manifest = f", manifest: {printable(self.manifest, 200)}" if self.manifest else ""
        dropped = f", splits_dropped={[printable(name, 40) for name, _ in self.splits_dropped[:8]]}" if self.splits_dropped else ""
        return f"RepairReport(rows_kept={self.rows_kept}, rows_lost={self.rows_lost}, {damaged} of {len(self.shards)} shards damaged{manifest}{dropped})"


def repair(
    path: str | os.PathLike[str] | Store,
    *,
    output: str | os.PathLike[str] | Store | None = None,
    progress: bool = True,
    storage_options: Mapping[str, Any] | None = None,
) -> RepairReport:
    """Copies the intact rows of a damaged dataset, or shard file, to a new dataset.

    The damaged files stay as they are. Rows keep their order. A split is kept if all shards with
    rows of it are intact.

    Parameters
    ----------
    path
        The dataset's folder, URL or store, or one `.atlas` file.
    output
        The new dataset's folder or store. None: `PATH-repaired`.
    progress
        Show progress on stderr.
    storage_options
        With a URL: see AtlasDataset.

    Returns
    -------
    RepairReport
        What was kept and what was lost, per file.

    Raises
    ------
    AtlasError
        No file has a readable schema: nothing can be saved.
    StoreError
        The store could not be asked for its files: they may be intact.
    """
    source, file = existing_dataset(path, storage_options)
    place = place_of(source, file)
    target = open_store(output if output is not None else repaired(source, file), "output")
    if source.folder is None and source.url == target.url:
        raise AtlasError(f"{place}: output= is the damaged dataset itself, whose files stay as they are; give another place")
    report = RepairReport()
    manifest: Manifest | None = None
    files = [file] if file is not None else []
    if file is None:
        manifest, report.manifest = find_manifest(source)
        files = find_files(source, manifest, trusted=not report.manifest)
    if not files:
        raise FileNotFoundError(f"{place}: no shards found")
    known = {shard.path: shard.rows for shard in manifest.shards} if manifest else {}
    schema = joined_schema(found for found in (find_schema(source, name) for name in files) if found is not None)
    if schema is None:
        raise AtlasError(f"{place}: no file has a readable schema: nothing can be repaired")
    icc = list(manifest.icc) if manifest and not report.manifest else []
    with (
        tempfile.TemporaryDirectory(prefix="atlas-repair-") as scratch,
        AtlasDatasetWriter(target, schema=schema, metadata=manifest.metadata if manifest else None, icc=icc) as writer,
        Progress(None, "repairing", "rows", progress) as bar,
    ):
        for name in files:
            kept, reason = save_rows(source, name, Path(scratch) / f"salvaged{SUFFIX}", writer, bar)
            lost = known[name] - kept if name in known else (0 if reason == "intact" else -1)
            report.rows_kept += kept
            report.rows_lost += max(lost, 0)
            report.shards.append((place_of(source, name), kept, lost, reason))
    if manifest is not None and manifest.splits:
        save_splits(target, manifest, report)
    return report


def repaired(source: Store, file: str | None) -> Path:
    """The folder beside a damaged dataset that its rows are copied to."""
    if source.folder is None:
        raise ValueError(f"{source.url}: output= is needed, because a store has no folder beside it: give a folder, or another store")
    path = source.folder if file is None else source.folder / file
    return path.with_name(path.stem + "-repaired")


def find_manifest(store: Store) -> tuple[Manifest | None, str]:
    """Returns the manifest of a dataset as far as it can be read, and what is wrong with it ("" if nothing is)."""
    where = place_of(store, MANIFEST)
    wrong = ""
    try:
        data, _ = store.read(MANIFEST, limit=MAX_BYTES)
        try:
            return parse_manifest(data, where), wrong
        except AtlasError as error:
            wrong = str(error)
        manifest = parse_members(data, where)
        manifest.dumps()  # JSON that was damaged may hold what a manifest cannot
        return manifest, f"{wrong}; metadata and splits are kept unchecked"
    except StoreError:
        raise
    except (AtlasError, OSError, ValueError) as error:
        return None, f"{wrong or error}; metadata and splits are lost"


def find_files(store: Store, manifest: Manifest | None, *, trusted: bool) -> list[str]:
    """Returns the shards that the manifest names; all shards in the store, if it is damaged and a file that it names is missing."""
    named = [shard.path for shard in manifest.shards] if manifest else []
    if manifest and trusted:
        return named  # not every store can list
    found = {name.removesuffix("/") for name in store.entries()}
    if manifest and found.issuperset(named):
        return named
    unfinished = {info.name for info in store.unfinished()}
    return sorted(filter(resembles_shard, found | unfinished), key=lambda name: name.removeprefix(TEMPORARY))


def save_splits(target: Store, manifest: Manifest, report: RepairReport) -> None:
    """Adds the splits whose rows are all kept to the repaired dataset; reports the others."""
    starts, row = {}, 0
    for file, kept, lost, _ in report.shards:
        if lost == 0:
            starts[file.rpartition("/")[2]] = row
        row += kept
    splits: dict[str, Ranges] = {}
    firsts = [0, *accumulate(shard.rows for shard in manifest.shards)]
    for name, parts in manifest.splits.items():
        try:
            moved = [piece for part in parts for piece in move_range(part, manifest, firsts, starts)]
        except KeyError as missing:
            report.splits_dropped.append((name, f"{missing.args[0]} was not kept intact"))
            continue
        if moved == sorted(moved):
            splits[name] = tuple(moved)
        else:
            report.splits_dropped.append((name, "its shards are in another order"))
    data, version = read_current(target)
    assert data is not None
    commit(target, replace(parse_manifest(data, place_of(target, MANIFEST)), splits=splits), expected=version)


def move_range(part: tuple[int, int], manifest: Manifest, firsts: list[int], starts: dict[str, int]) -> list[tuple[int, int]]:
    """Returns a range of rows as ranges of the new dataset, shard by shard. starts: where shards begin now. firsts: where they began."""
    pieces: list[tuple[int, int]] = []
    for k in range(max(0, bisect_right(firsts, part[0]) - 1), min(len(manifest.shards), bisect_left(firsts, part[1]))):
        first, last = max(part[0], firsts[k]), min(part[1], firsts[k + 1])
        if first < last:
            move = starts[manifest.shards[k].path] - firsts[k]
            if pieces and pieces[-1][1] == first + move:
                first = pieces.pop()[0] - move
            pieces.append((first + move, last + move))
    return pieces


def joined_schema(found: Iterable[Schema]) -> Schema | None:
    """The first schema, with the names of classes that later shards have more; None if there is none."""
    schema = None
    for one in found:
        schema = one if schema is None else with_all_names(schema, one) or schema
        if not has_labels(schema.fields):
            break
    return schema


def find_schema(store: Store, name: str) -> Schema | None:
    try:
        return shard_schema(open_stored(store, name))
    except StoreError:
        raise
    except (AtlasError, OSError):
        pass
    try:
        with tempfile.TemporaryDirectory(prefix="atlas-repair-") as scratch:
            salvaged = Path(scratch) / f"salvaged{SUFFIX}"
            salvage(store, name, salvaged)
            return shard_schema(open_shard(salvaged, truncated=True))
    except (AtlasError, OSError, ValueError):
        return None


def save_rows(store: Store, name: str, scratch: Path, writer: AtlasDatasetWriter, bar: Progress) -> tuple[int, str]:
    """Copies the readable rows of a file; returns (rows, "intact" or what is wrong)."""
    reason = "intact"
    try:
        shard = open_stored(store, name)
        verify_opened(shard)
    except StoreError:
        raise
    except (AtlasError, OSError) as error:
        reason = str(error)
        try:
            salvage(store, name, scratch)
            shard = open_shard(scratch, truncated=True)
        except (AtlasError, OSError, ValueError) as worse:
            return 0, str(worse)
    schema = shard_schema(shard)
    positions = {leaf.id: i for i, leaf in enumerate(shard.leaves)}
    shard_set = _core.ShardSet(np.array([0, shard.rows]), lambda _: [shard], verify=_core.Verify.FIRST, copy=True)
    projection = _core.Projection(schema, positions)
    kept = 0
    for start in range(0, shard.rows, 256):
        try:
            examples = shard_set.examples(projection, np.arange(start, min(start + 256, shard.rows)))
        except AtlasError as error:
            return kept, f"{reason}; {error}"
        writer.extend(examples)
        kept += len(examples)
        bar.advance(len(examples))
    return kept, reason
