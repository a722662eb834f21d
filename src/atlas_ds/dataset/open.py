"""Opens a dataset: reads its manifest, and checks that it is the one that was pickled. Its shards are opened in shard_files.py, its rows read in dataset.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from atlas_ds import _core
from atlas_ds.dataset.foreign import missing, not_a_path, strange_folder, stranger
from atlas_ds.dataset.images import Decode
from atlas_ds.dataset.manifest import Manifest, Ranges, read_manifest, roots_digest
from atlas_ds.dataset.names import MANIFEST, SUFFIX
from atlas_ds.dataset.open_shards import make_keeper
from atlas_ds.dataset.selection import select_columns
from atlas_ds.dataset.shard_files import Opener, ShardFiles
from atlas_ds.errors import AtlasError, DatasetChanged, NotADataset, StoreError
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.open import open_stored, shard_info, shard_schema
from atlas_ds.shard.totals import Totals
from atlas_ds.store.cache_place import CachePlace
from atlas_ds.store.descriptors import with_room
from atlas_ds.store.filling import Filling, make_filling
from atlas_ds.store.local import LocalStore
from atlas_ds.store.open import open_store
from atlas_ds.store.paths import cure_of_url, is_url, local_path
from atlas_ds.store.store import Store, is_store, place_of

Verify = Literal["first", "always", "never"]
Io = Literal["mmap", "pread"]
VERIFY = {mode.name.lower(): mode for mode in _core.Verify}


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a dataset was opened: enough to open it again in another process. file: the name of its only file, if that was opened alone."""

    store: Store
    file: str | None
    columns: tuple[str, ...] | None
    verify: Verify
    io: Io
    copy: bool
    memory: int
    decode: Decode | None = None
    cache: CachePlace | None = None

    @property
    def is_remote(self) -> bool:
        """Whether reading asks a store."""
        return self.store.folder is None

    @property
    def path(self) -> str:
        """As users and errors name it."""
        return place_of(self.store, self.file)


@dataclass(frozen=True, slots=True)
class Identity:
    """Identifies the rows of a dataset: the digest of the roots of so many shards. It is part of a pickled dataset."""

    shards: int
    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows in {self.shards:,} shards with roots {self.digest[:16]}"


@dataclass(frozen=True, slots=True)
class Handle:
    """An open dataset; shared by all views of it."""

    options: OpenOptions
    manifest: Manifest
    shard_set: _core.ShardSet
    projection: _core.Projection

    def identity(self) -> Identity:
        return identity_of(self.manifest.shards)


def open_dataset(options: OpenOptions) -> Handle:
    return open_manifest(options, find_manifest(options.store, options.file))


def reopen_dataset(options: OpenOptions, expected: Identity) -> Handle:
    """Opens a dataset with the rows it had when it was pickled. DatasetChanged if they no longer exist."""
    path = options.path
    was = f"it had {expected} when it was pickled"
    try:
        manifest = find_manifest(options.store, options.file)
    except FileNotFoundError:
        raise DatasetChanged(f"{path}: the dataset was removed: {was}; restore it, or write it again and open it again") from None
    except StoreError:
        raise
    except AtlasError as cause:
        raise DatasetChanged(f"{path}: the dataset was replaced or damaged: {was}, and what is there now cannot be read: {cause}") from cause
    kept = first_shards(manifest, expected.shards)
    found = identity_of(kept.shards)
    if found != expected:
        more = len(manifest.shards) - found.shards
        has = f"now it has {identity_of(manifest.shards)}" if more == 0 else f"now its first {found.shards:,} shards have {found}"
        raise DatasetChanged(f"{path}: the dataset was replaced: {was}, {has}; open the dataset again")
    return open_manifest(options, kept)


def identity_of(shards: Sequence[ShardInfo]) -> Identity:
    return Identity(len(shards), sum(shard.rows for shard in shards), roots_digest(shards))


def first_shards(manifest: Manifest, count: int) -> Manifest:
    """Returns the manifest before shards were appended to the first ones: splits lose the later rows, and are dropped if they become empty."""
    if count >= len(manifest.shards):
        return manifest
    shards = manifest.shards[:count]
    rows = sum(shard.rows for shard in shards)
    splits: dict[str, Ranges] = {}
    for name, parts in manifest.splits.items():
        left = tuple((start, min(stop, rows)) for start, stop in parts if start < rows)
        if left or not parts:
            splits[name] = left
    return replace(manifest, shards=shards, splits=splits, totals=Totals(None))


def find_manifest(store: Store, file: str | None) -> Manifest:
    """Returns the manifest of a dataset in a store; for a single shard file, one that names it."""
    if store.folder is not None:
        return with_room(partial(find_local, store, file), store.folder)
    if file is not None:
        return manifest_of_file(store, file)
    try:
        return read_manifest(store)
    except FileNotFoundError:
        raise no_manifest(store) from None


def find_local(store: Store, file: str | None) -> Manifest:
    assert store.folder is not None
    path = store.folder if file is None else store.folder / file
    if not path.is_dir():
        refuse_stranger(path)
        return manifest_of_file(store, path.name)
    try:
        return read_manifest(store)
    except FileNotFoundError:
        raise no_manifest(store) from None


def no_manifest(store: Store) -> NotADataset:
    """Returns the error for a store without a manifest, which says what a folder is instead, if that can be detected."""
    why = strange_folder(store.folder) if store.folder is not None else cure_of_url(store.url) if store.url.startswith("hf:") else ""
    return NotADataset(f"{place_of(store)}: not an Atlas dataset: {MANIFEST} not found" + (f"; {why}" if why else ""))


def refuse_stranger(path: Path) -> None:
    """NotADataset if the path does not exist, or is a file that is not a shard; folders pass."""
    if not path.exists():
        raise NotADataset(f"{path}: {missing(path)}")
    why = None if path.is_dir() else stranger(path)
    if why is not None:
        raise NotADataset(f"{path}: {why}")


def dataset_path(path: Any) -> Path:
    """Returns the absolute path of a dataset, also if the user named the manifest in its folder."""
    wrong = not_a_path(path)
    if wrong is not None:
        raise TypeError(wrong)
    found = local_path(path)
    return found.parent if found.name == MANIFEST and found.is_file() else found


def dataset_in(path: Any, storage_options: Mapping[str, Any] | None = None) -> tuple[Store, str | None]:
    """The store of a dataset that the user named by a path, a URL or a store, and its file, if it is only one."""
    if is_url(path):
        return dataset_at(path, storage_options)
    if storage_options is not None:
        raise ValueError("storage_options= is for URLs, and this is a path or a store")
    if is_store(path):
        return path, None
    found = dataset_path(path)
    return (LocalStore(found.parent), found.name) if found.is_file() else (LocalStore(found), None)


def dataset_at(url: str, storage_options: Mapping[str, Any] | None) -> tuple[Store, str | None]:
    """The same of a URL, also of a manifest or a shard."""
    folder, _, name = url.rstrip("/").rpartition("/")
    if name == MANIFEST or name.endswith(SUFFIX):
        return open_store(folder, storage_options), None if name == MANIFEST else name
    return open_store(url, storage_options), None


def open_manifest(options: OpenOptions, manifest: Manifest) -> Handle:
    """Opens the dataset of a manifest. No shard is opened yet."""
    files = ShardFiles(options.store, manifest, options.file)
    schema = select_columns(manifest.schema, options.columns)
    positions = {leaf.id: i for i, leaf in enumerate(manifest.schema.leaves)}
    ends = np.cumsum([0] + [shard.rows for shard in manifest.shards])
    filling = filling_of(options)
    opener = Opener(files, filling)
    keeper = make_keeper(opener.open, filling, len(manifest.shards))
    verify = "first" if options.verify == "never" and options.cache is not None else options.verify  # a cache is a place where others write
    shard_set = _core.ShardSet(ends, opener, verify=VERIFY[verify], copy=options.copy, keeper=keeper)
    return Handle(options, manifest, shard_set, _core.Projection(schema, positions))


def filling_of(options: OpenOptions) -> Filling | None:
    """Of the blocks of a dataset; None where files are mapped."""
    if options.io != "pread" and options.store.folder is not None:
        return None
    far = options.store if options.is_remote else None
    return make_filling(options.memory, options.cache, check=options.verify != "never", store=far)


def manifest_of_file(store: Store, file: str) -> Manifest:
    """Returns the manifest of a dataset of one shard file."""
    shard = open_stored(store, file)
    return Manifest(shard_schema(shard), (shard_info(shard, file),))
