"""repair: copies the intact rows of a damaged dataset, or shard file, to a new dataset."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import MAX_BYTES, Manifest, Ranges, parse_manifest, parse_members, read_manifest
from atlas_ds.dataset.names import MANIFEST, SUFFIX, shard_files
from atlas_ds.dataset.open import dataset_path, refuse_stranger
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError
from atlas_ds.progress import Progress
from atlas_ds.shard.open import open_shard, shard_schema
from atlas_ds.shard.salvage import salvage
from atlas_ds.shard.verify import verify_shard
from atlas_ds.store.local import LocalStore
from atlas_ds.store.paths import local_path
from atlas_ds.store.regular import read_regular
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


def repair(path: str | os.PathLike[str], *, output: str | os.PathLike[str] | None = None, progress: bool = True) -> RepairReport:
    """Copies the intact rows of a damaged dataset, or shard file, to a new dataset.

    The damaged files stay as they are. Rows keep their order. A split is kept if all shards with
    rows of it are intact.

    Parameters
    ----------
    path
        The dataset's folder, or one `.atlas` file.
    output
        The new dataset's folder. None: `PATH-repaired`.
    progress
        Show progress on stderr.

    Returns
    -------
    RepairReport
        What was kept and what was lost, per file.

    Raises
    ------
    AtlasError
        No file has a readable schema: nothing can be saved.
    """
    source = dataset_path(path)
    refuse_stranger(source)
    target = local_path(output, "output") if output is not None else source.with_name(source.stem + "-repaired")
    report = RepairReport()
    manifest: Manifest | None = None
    files = [source]
    if source.is_dir():
        manifest, report.manifest = find_manifest(source)
        files = find_files(source, manifest, trusted=not report.manifest)
    if not files or not source.exists():
        raise FileNotFoundError(f"{source}: no shards found")
    known = {shard.path: shard.rows for shard in manifest.shards} if manifest else {}
    schema = next((found for found in map(find_schema, files) if found is not None), None)
    if schema is None:
        raise AtlasError(f"{source}: no file has a readable schema: nothing can be repaired")
    icc = list(manifest.icc) if manifest and not report.manifest else []
    with (
        tempfile.TemporaryDirectory(prefix="atlas-repair-") as scratch,
        AtlasDatasetWriter(target, schema=schema, metadata=manifest.metadata if manifest else None, icc=icc) as writer,
        Progress(None, "repairing", "rows", progress) as bar,
    ):
        for file in files:
            kept, reason = save_rows(file, Path(scratch) / f"salvaged{SUFFIX}", writer, bar)
            lost = known[file.name] - kept if file.name in known else (0 if reason == "intact" else -1)
            report.rows_kept += kept
            report.rows_lost += max(lost, 0)
            report.shards.append((str(file), kept, lost, reason))
    if manifest is not None and manifest.splits:
        save_splits(target, manifest, report)
    return report


def find_manifest(folder: Path) -> tuple[Manifest | None, str]:
    """Returns the manifest of a dataset as far as it can be read, and what is wrong with it ("" if nothing is)."""
    where = str(folder / MANIFEST)
    wrong = ""
    try:
        data = read_regular(folder / MANIFEST, MAX_BYTES)
        try:
            return parse_manifest(data, where), wrong
        except AtlasError as error:
            wrong = str(error)
        manifest = parse_members(data, where)
        manifest.dumps()  # JSON that was damaged may hold what a manifest cannot
        return manifest, f"{wrong}; metadata and splits are kept unchecked"
    except (AtlasError, OSError, ValueError) as error:
        return None, f"{wrong or error}; metadata and splits are lost"


def find_files(folder: Path, manifest: Manifest | None, *, trusted: bool) -> list[Path]:
    """Returns the shards that the manifest names; all shards in the folder, if it is damaged and a file that it names is missing."""
    named = [folder / shard.path for shard in manifest.shards] if manifest else []
    if manifest and (trusted or all(file.exists() for file in named)):
        return named
    return shard_files(folder)


def save_splits(target: Path, manifest: Manifest, report: RepairReport) -> None:
    """Adds the splits whose rows are all kept to the repaired dataset; reports the others."""
    starts, row = {}, 0
    for file, kept, lost, _ in report.shards:
        if lost == 0:
            starts[Path(file).name] = row
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
    current = read_current(target)
    commit(target, replace(read_manifest(LocalStore(target)), splits=splits), expected=current)


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


def find_schema(file: Path) -> object:
    try:
        return shard_schema(open_shard(file))
    except (AtlasError, OSError):
        pass
    try:
        with tempfile.TemporaryDirectory(prefix="atlas-repair-") as scratch:
            salvaged = Path(scratch) / f"salvaged{SUFFIX}"
            salvage(file, salvaged)
            return shard_schema(open_shard(salvaged, truncated=True))
    except (AtlasError, OSError, ValueError):
        return None


def save_rows(file: Path, scratch: Path, writer: AtlasDatasetWriter, bar: Progress) -> tuple[int, str]:
    """Copies the readable rows of a file; returns (rows, "intact" or what is wrong)."""
    reason = "intact"
    try:
        verify_shard(file)
        shard = open_shard(file)
    except (AtlasError, OSError) as error:
        reason = str(error)
        try:
            salvage(file, scratch)
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
