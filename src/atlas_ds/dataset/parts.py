"""merge_parts: merges the parts that several writers wrote into one dataset.

Parts that are partly removed must never be merged again, and a store may not be able to remove them in one step. So PARTS_MERGED says which
parts are merged, from before the first of their files is removed until the last one is: whoever finds it removes the rest first. The manifest
of a part is its last file to go, and says whether the part is still the one that was merged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from atlas_ds.dataset.commit import put_manifest, read_current, shard_names
from atlas_ds.dataset.journal import Journal, journals, refuse_busy
from atlas_ds.dataset.manifest import Manifest, Ranges, digest, parse_manifest
from atlas_ds.dataset.metadata import checked_metadata
from atlas_ds.dataset.names import MANIFEST, PARTS, PARTS_MERGED, is_of_writer, parse_part_name, part_name, shard_name
from atlas_ds.dataset.options import whole_number
from atlas_ds.errors import CorruptError, SchemaError, WriterBusy
from atlas_ds.schema.schema import Schema, with_all_names
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.totals import measured_icc, sum_of_totals
from atlas_ds.store.local import open_store
from atlas_ds.store.lock import LOCKS
from atlas_ds.store.store import Store, place_of

MAX_BYTES = 64 << 20  # of PARTS_MERGED: a million parts


class Part(NamedTuple):
    """A finished part. name: of its place in PARTS. mark: the digest of its manifest."""


    name: str
    store: Store
    manifest: Manifest
    mark: str


def part_store(root: Store, part: int) -> Store:
    """Returns the store of a part. CorruptError if it is a link, which would lead the writer elsewhere."""
    finish_removal(root)
    return root.inside(f"{PARTS}/{part_name(part)}")


def merge_parts(
    root: str | os.PathLike[str] | Store, *, overwrite: bool = False, metadata: dict[str, Any] | None = None, count: int | None = None
) -> None:
    """Joins the parts that writers with `part=` wrote, in the order of their numbers.

    The parts must have equal schemas: give one explicit `schema=` to all writers. The same parts
    give the same bytes.

    Parameters
    ----------
    root
        The path, or the store, that the writers were given.
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
    store = open_store(root, "root")
    metadata = None if metadata is None else checked_metadata(metadata)
    merge(store, overwrite, metadata, None if count is None else whole_number(count, "count", 1, 10**9))


def merge(root: Store, overwrite: bool, metadata: dict[str, Any] | None, count: int | None, own: Journal | None = None) -> None:
    """See merge_parts. own: the journal of the caller, if it holds the store exclusively."""
    finish_removal(root)
    names = part_names(root, count)
    with root.lock():
        refuse_busy(root, [one for one in journals(root) if own is None or one.name != own.name], alone=True)
        current = read_current(root)
        if current.data is not None and not overwrite:
            raise FileExistsError(f"{place_of(root)}: a dataset already exists; pass overwrite=True to replace it")
        old = shard_names(root, current.data)
        parts = read_parts(root, names)
        manifest = copy_part_shards(root, parts, metadata)
        if part_names(root, count) != names:
            why = "a part was added while the parts were merged: wait until all are written, then merge them again"
            raise WriterBusy(f"{place_of(root)}: {why}")
        put_manifest(root, manifest.dumps(), expected=current.version)
        remove_merged(root, parts)
        root.delete(old - {info.path for info in manifest.shards})


# --- removing ---


def remove_merged(root: Store, parts: Sequence[Part]) -> None:
    """Removes parts that were merged, so that none of them is merged again even if this is interrupted."""
    root.inside(PARTS).put(PARTS_MERGED, json.dumps({part.name: part.mark for part in parts}).encode())
    finish_removal(root)


def finish_removal(root: Store) -> None:
    """Removes what is left of parts that were merged. Files that no writer made are kept."""
    parts = root.inside(PARTS)
    if not parts.is_plain(PARTS_MERGED):
        return
    with root.lock():
        for name, mark in merged_parts(parts).items():
            part = parts.inside(name)
            found = read_current(part).data
            if found is not None and digest(found) == mark:  # else it is removed already, and may be written again
                remove_part(part)
        parts.delete([PARTS_MERGED])
        parts.remove_if_empty()


def merged_parts(parts: Store) -> dict[str, str]:
    """The parts that are being removed, and the digests of their manifests."""
    try:
        data, _ = parts.read(PARTS_MERGED, limit=MAX_BYTES, follow=False)
    except FileNotFoundError:
        return {}
    try:
        merged = json.loads(data)
    except (ValueError, RecursionError):
        merged = None
    if not isinstance(merged, dict) or not all(isinstance(mark, str) and parse_part_name(name) is not None for name, mark in merged.items()):
        cure = f"if its parts are in the dataset, remove {place_of(parts)}, else only this file"
        raise CorruptError(f"{place_of(parts, PARTS_MERGED)}: is not the list of merged parts that a writer makes: {cure}")
    return merged


def check_parts(root: Store) -> None:
    """CorruptError if the place of parts is a link, or not a folder: it would be written to, and emptied."""
    root.inside(PARTS)


def remove_parts(root: Store) -> None:
    """Removes all parts: the files that writers made, and no others."""
    parts = root.inside(PARTS)
    for name in sorted(parts.entries()):
        if name.endswith("/") and parse_part_name(name[:-1]) is not None:
            remove_part(parts.inside(name[:-1]))
    parts.delete([PARTS_MERGED])
    parts.remove_if_empty()


def remove_part(part: Store) -> None:
    """Removes one part, its manifest last. A file that no writer made is kept, and so is the place then."""
    names = [name for name in part.entries() if is_of_writer(name) and part.is_plain(name)]
    part.delete([*(info.name for info in part.unfinished()), *LOCKS, *sorted(names, key=MANIFEST.__eq__)])
    part.remove_if_empty()


# --- merging ---


def part_names(root: Store, count: int | None) -> list[str]:
    """Returns the names of the parts, in the order of their numbers. FileNotFoundError if one is missing, CorruptError if one is a link."""
    parts, place = root.inside(PARTS), place_of(root)
    found = {}
    for name in (entry.removesuffix("/") for entry in parts.entries()):
        number = parse_part_name(name)
        if number is not None:
            parts.inside(name)
            found[number] = name
    if not found:
        raise FileNotFoundError(f"{place}: no parts found: write them with AtlasDatasetWriter({place!r}, part=0), part=1, ...")
    wanted = max(found) + 1 if count is None else count
    missing = [number for number in range(min(wanted, len(found) + 10)) if number not in found]
    if missing:
        what = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise FileNotFoundError(
            f"{place}: of parts 0 to {wanted - 1} these are missing: {what}; write them (an empty one with schema=), "
            "or number the parts without gaps"
        )
    if len(found) > wanted:
        raise ValueError(f"{place}: count={wanted}, but {len(found)} parts exist, up to {max(found)}: remove what does not belong, or give their count")
    return [found[number] for number in range(wanted)]


def read_parts(root: Store, names: Sequence[str]) -> list[Part]:
    """Returns the parts, which have one schema."""
    parts: list[Part] = []
    for name in names:
        store = root.inside(f"{PARTS}/{name}")
        place = place_of(store)
        refuse_busy(store, journals(store), alone=True)
        data = read_current(store).data
        if data is None:
            raise FileNotFoundError(f"{place}: this part was never finished: run its writer again, with resume=True or from its start")
        parts.append(Part(name, store, parse_manifest(data, place_of(store, MANIFEST)), digest(data)))
    joined_schema(parts)
    return parts


def joined_schema(parts: Sequence[Part]) -> Schema:
    """The schema of all parts. SchemaError if they differ in more than classes that some of them lack."""
    schema = parts[0].manifest.schema
    for part in parts:
        joined = with_all_names(schema, part.manifest.schema)
        if joined is None:
            why = "the schema of this part differs from that of the first: pass the same schema= to all writers"
            raise SchemaError(f"{place_of(part.store)}: {why}\n{part.manifest.schema}\nfirst: {schema}")
        schema = joined
    return schema


def copy_part_shards(root: Store, parts: Sequence[Part], metadata: dict[str, Any] | None) -> Manifest:
    """Gives the shards of the parts their names in the dataset, and returns its manifest."""
    first, schema = parts[0].manifest, joined_schema(parts)
    shards: list[ShardInfo] = []
    splits: dict[str, Ranges] = {}
    row = 0
    for part in parts:
        for name, ranges in part.manifest.splits.items():
            splits[name] = (*splits.get(name, ()), *((a + row, b + row) for a, b in ranges))
        for info in part.manifest.shards:
            name = shard_name(len(shards), info.root)
            if not part.store.is_plain(info.path, info.bytes):
                why = f"is not the file of {info.bytes:,} bytes that the part's manifest names: write the part again"
                raise CorruptError(f"{place_of(part.store, info.path)}: {why}")
            root.copy(f"{PARTS}/{part.name}/{info.path}", name)
            shards.append(info._replace(path=name))
        row += part.manifest.rows
    names = [name for name in first.icc if all(name in part.manifest.icc for part in parts)]
    totals = sum_of_totals(part.manifest.totals for part in parts if part.manifest.shards)
    icc = measured_icc(totals if shards else None, names, schema, place_of(root))
    totals.icc = {name: totals.icc[name] for name in icc if name in totals.icc}
    return Manifest(schema, tuple(shards), splits, metadata if metadata is not None else first.metadata, icc, totals)
