"""merge_parts: merges the parts that several writers wrote into one dataset."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atlas_ds.dataset.commit import locked_for_commit, read_current, shard_names
from atlas_ds.dataset.journal import Journal, journals, refuse_busy, remove_shards
from atlas_ds.dataset.manifest import Manifest, Ranges, parse_manifest
from atlas_ds.dataset.metadata import checked_metadata
from atlas_ds.dataset.names import MANIFEST, PARTS, PARTS_ASIDE, is_of_writer, parse_part_name, part_name, shard_name
from atlas_ds.dataset.options import whole_number
from atlas_ds.errors import CorruptError, SchemaError, WriterBusy
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.totals import measured_icc, sum_of_totals
from atlas_ds.store.files import link_file
from atlas_ds.store.owner import new_token
from atlas_ds.store.paths import local_path
from atlas_ds.store.regular import is_folder, is_regular, remove_regular

Parts = list[tuple[Path, Manifest]]


def part_folder(root: Path, part: int) -> Path:
    """Returns the folder of a part. CorruptError if it is a link, which would lead the writer elsewhere."""
    check_parts(root)
    folder = root / PARTS / part_name(part)
    if folder.is_symlink():
        raise not_folder(folder)
    return folder


def merge_parts(
    root: str | os.PathLike[str], *, overwrite: bool = False, metadata: dict[str, Any] | None = None, count: int | None = None
) -> None:
    """Joins the parts that writers with `part=` wrote, in the order of their numbers.

    The parts must have equal schemas: give one explicit `schema=` to all writers. The same parts
    give the same bytes.

    Parameters
    ----------
    root
        The path that the writers were given.
    overwrite
        Replace a dataset that exists.
    metadata
        Any JSON object; None: what the parts have.
    count
        How many parts there must be, so that a missing last one is noticed, too. None: 0, 1, 2, ...
        without a gap.

    Raises
    ------
    FileNotFoundError
        Parts are missing or were never finished; the text names them.
    WriterBusy
        A writer still works on a part.
    FileExistsError
        A dataset already exists at `root`.
    """
    path = local_path(root, "root")
    metadata = None if metadata is None else checked_metadata(metadata)
    merge(path, overwrite, metadata, None if count is None else whole_number(count, "count", 1, 10**9))


def merge(path: Path, overwrite: bool, metadata: dict[str, Any] | None, count: int | None, own: Journal | None = None) -> None:
    """See merge_parts. own: the journal of the caller, if it holds the folder exclusively."""
    folders = part_folders(path, count)
    with locked_for_commit(path) as target:
        refuse_busy(path, [one for one in journals(path) if own is None or one.path != own.path], alone=True)
        if target.current is not None and not overwrite:
            raise FileExistsError(f"{path}: a dataset already exists; pass overwrite=True to replace it")
        old = shard_names(path, target.current)
        for aside in path.glob(f"{PARTS_ASIDE}*"):
            remove_parts(aside)
        manifest = link_part_shards(path, read_parts(folders), metadata)
        if part_folders(path, count) != folders:
            raise WriterBusy(f"{path}: a part was added while the parts were merged: wait until all are written, then merge them again")
        target.publish(manifest.dumps())
        aside = path / f"{PARTS_ASIDE}{new_token()}"
        os.rename(path / PARTS, aside)  # atomically: parts that are partly removed must not be merged again
        if not remove_parts(aside) and not (path / PARTS).exists():
            os.rename(aside, path / PARTS)  # it holds files that no writer made
        remove_shards(path, old - {info.path for info in manifest.shards})


def check_parts(path: Path) -> None:
    """CorruptError if the folder of parts is a link, or not a folder: it would be written to, and emptied."""
    if os.path.lexists(path / PARTS) and not is_folder(path / PARTS):
        raise not_folder(path / PARTS)


def not_folder(path: Path) -> CorruptError:
    return CorruptError(f"{path}: is not a folder but a link or a file, which no writer of parts made: move it away")


def remove_parts(folder: Path) -> bool:
    """Removes a folder of parts: the files that writers made, and no others. Returns whether nothing is left."""
    for inner in sorted(folder.iterdir()) if is_folder(folder) else ():
        if parse_part_name(inner.name) is not None:
            remove_part(inner)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not os.path.lexists(folder)


def remove_part(folder: Path) -> None:
    """Removes the folder of one part. A file that no writer made is kept, and so is the folder then."""
    for file in folder.iterdir() if is_folder(folder) else ():
        if is_of_writer(file.name):
            remove_regular(file)
    with contextlib.suppress(OSError):
        folder.rmdir()


def part_folders(path: Path, count: int | None) -> list[Path]:
    """Returns the folders of the parts, in the order of their numbers. FileNotFoundError if one is missing."""
    check_parts(path)
    found = {}
    for folder in (path / PARTS).iterdir() if is_folder(path / PARTS) else ():
        number = parse_part_name(folder.name)
        if number is not None:
            if not is_folder(folder):
                raise not_folder(folder)
            found[number] = folder
    if not found:
        raise FileNotFoundError(f"{path}: no parts found: write them with AtlasDatasetWriter({str(path)!r}, part=0), part=1, ...")
    wanted = max(found) + 1 if count is None else count
    missing = [number for number in range(min(wanted, len(found) + 10)) if number not in found]
    if missing:
        what = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise FileNotFoundError(
            f"{path}: of parts 0 to {wanted - 1} these are missing: {what}; write them (an empty one with schema=), "
            "or number the parts without gaps"
        )
    if len(found) > wanted:
        raise ValueError(f"{path}: count={wanted}, but {len(found)} parts exist, up to {max(found)}: remove what does not belong, or give their count")
    return [found[number] for number in range(wanted)]


def read_parts(folders: Sequence[Path]) -> Parts:
    """Returns the manifests of the parts, which have one schema."""
    parts: Parts = []
    for folder in folders:
        refuse_busy(folder, journals(folder), alone=True)
        data = read_current(folder)
        if data is None:
            raise FileNotFoundError(f"{folder}: this part was never finished: run its writer again, with resume=True or from its start")
        parts.append((folder, parse_manifest(data, str(folder / MANIFEST))))
    schema = parts[0][1].schema
    for folder, manifest in parts:
        if manifest.schema != schema:
            why = "the schema of this part differs from that of the first: pass the same schema= to all writers"
            raise SchemaError(f"{folder}: {why}\n{manifest.schema}\nfirst: {schema}")
    return parts


def link_part_shards(path: Path, parts: Parts, metadata: dict[str, Any] | None) -> Manifest:
    """Links the shards of the parts into the folder of the dataset, and returns its manifest."""
    first = parts[0][1]
    shards: list[ShardInfo] = []
    splits: dict[str, Ranges] = {}
    row = 0
    for folder, manifest in parts:
        for name, ranges in manifest.splits.items():
            splits[name] = (*splits.get(name, ()), *((a + row, b + row) for a, b in ranges))
        for info in manifest.shards:
            name = shard_name(len(shards), info.root)
            if not is_regular(folder / info.path, info.bytes):
                raise CorruptError(f"{folder / info.path}: is not the file of {info.bytes:,} bytes that the part's manifest names: write the part again")
            link_file(folder / info.path, path / name)
            shards.append(info._replace(path=name))
        row += manifest.rows
    names = [name for name in first.icc if all(name in manifest.icc for _, manifest in parts)]
    totals = sum_of_totals(manifest.totals for _, manifest in parts if manifest.shards)
    icc = measured_icc(totals if shards else None, names, first.schema, str(path))
    totals.icc = {name: totals.icc[name] for name in icc if name in totals.icc}
    return Manifest(first.schema, tuple(shards), splits, metadata if metadata is not None else first.metadata, icc, totals)
