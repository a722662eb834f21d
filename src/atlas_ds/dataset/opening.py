"""Opens a dataset: reads its manifest, checks that it is the one that was pickled, and opens shards when they are first needed. Reading rows is
reader.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785

from atlas_ds import _core
from atlas_ds.dataset.fill import Filling
from atlas_ds.dataset.manifest import NAME, Manifest, Ranges, read_manifest, roots_digest
from atlas_ds.dataset.strangers import missing, not_a_path, strange_folder, stranger
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged, LimitError, NotADataset, UnsupportedError
from atlas_ds.schema.schema import Schema
from atlas_ds.shard.reader import open_anonymous, open_shard, shard_schema
from atlas_ds.shard.writer import ShardInfo
from atlas_ds.store.descriptors import with_room
from atlas_ds.store.paths import local_path

CONFIRMED = 1 << 22  # rows of which an array (32 MB) is made on the word of the manifest alone
VERIFY = {mode.name.lower(): mode for mode in _core.Verify}


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """What a dataset was opened with: enough to open it again in another process."""

    path: str
    columns: tuple[str, ...] | None
    verify: str
    io: str
    copy: bool
    cache: int
    decode: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Which rows a dataset had: those of so many shards, by their roots. It goes with a pickled dataset."""

    shards: int
    rows: int
    digest: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows in {self.shards:,} shards with roots {self.digest[:16]}"


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a dataset as it was opened, and what to say where one of them is gone. path: the dataset's folder, or its only file."""

    path: Path
    manifest: Manifest
    single: bool

    def __getitem__(self, k: int) -> Path:
        return self.path if self.single else self.path / self.manifest.shards[k].path

    def gone(self, k: int) -> Exception:
        """The error of shard k, which is not there: either somebody replaced or removed the dataset, or this file is missing in it."""
        why = self.changed(k)
        if why is not None:
            return why
        cure = f"restore it, or save the other rows: atlas-ds repair {self.path}"
        return FileNotFoundError(f"{self[k]}: the file is not there, and {NAME} names it; {cure}")

    def changed(self, k: int) -> DatasetChanged | None:
        """An error if the dataset on disk is not the one that was opened, as far as shard k shows it."""
        where = self.path if self.single else self.path / NAME
        try:
            found = None if self.single else with_room(lambda: read_manifest(where), where)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except AtlasError:
            return None  # a damaged manifest says nothing
        if found is None and not where.exists():
            return DatasetChanged(f"{where}: the dataset was removed after it was opened; restore it, or write it again and open it again")
        info = self.manifest.shards[k]
        if found is not None and any((shard.path, shard.root) == (info.path, info.root) for shard in found.shards):
            return None
        return DatasetChanged(f"{where}: the dataset was replaced after it was opened: shard {k}, {info.path}, is not in it any more; open it again")


@dataclass(frozen=True, slots=True)
class Handle:
    """A dataset's parts once it is open; shared by all views of it."""

    options: OpenOptions
    manifest: Manifest
    shard_set: _core.ShardSet
    projection: _core.Projection

    def identity(self) -> Identity:
        return identity_of(self.manifest.shards)


def open_dataset(options: OpenOptions) -> Handle:
    path = Path(options.path)
    return open_manifest(options, with_room(lambda: find_manifest(path), path))


def reopen_dataset(options: OpenOptions, expected: Identity) -> Handle:
    """The dataset with the rows it had when it was pickled. DatasetChanged where they are not there any more."""
    path = Path(options.path)
    was = f"it had {expected} when it was pickled"
    try:
        manifest = with_room(lambda: find_manifest(path), path)
    except FileNotFoundError:
        raise DatasetChanged(f"{path}: the dataset was removed: {was}; restore it, or write it again and open it again") from None
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
    """What the manifest was before shards were appended to the first ones: splits lose the later rows, and are dropped where nothing is left."""
    if count >= len(manifest.shards):
        return manifest
    shards = manifest.shards[:count]
    rows = sum(shard.rows for shard in shards)
    splits: dict[str, Ranges] = {}
    for name, parts in manifest.splits.items():
        left = tuple((start, min(stop, rows)) for start, stop in parts if start < rows)
        if left or not parts:
            splits[name] = left
    return replace(manifest, shards=shards, splits=splits)


def find_manifest(path: Path) -> Manifest:
    """The manifest of the dataset at a path; of a single shard file, one that names it."""
    if path.is_dir():
        try:
            return read_manifest(path / NAME)
        except FileNotFoundError:
            raise no_manifest(path) from None
    refuse_stranger(path)
    return manifest_of_file(path)


def no_manifest(folder: Path) -> NotADataset:
    """The error of a folder without a manifest: it says what the folder is, as far as that can be told."""
    why = strange_folder(folder)
    return NotADataset(f"{folder}: no dataset is there ({NAME} is missing)" + (f"; {why}" if why else ""))


def refuse_stranger(path: Path) -> None:
    """NotADataset where nothing is at a path, or a file that is no shard; folders pass."""
    if not path.exists():
        raise NotADataset(f"{path}: {missing(path)}")
    why = None if path.is_dir() else stranger(path)
    if why is not None:
        raise NotADataset(f"{path}: {why}")


def dataset_path(path: Any) -> Path:
    """What a user gives as a dataset: an absolute path, of the folder where somebody named the manifest in it."""
    wrong = not_a_path(path)
    if wrong is not None:
        raise TypeError(wrong)
    found = local_path(path)
    return found.parent if found.name == NAME and found.is_file() else found


def open_manifest(options: OpenOptions, manifest: Manifest) -> Handle:
    """The dataset that a manifest describes. No shard is opened yet."""
    path = Path(options.path)
    files = Files(path, manifest, not path.is_dir())
    schema = select_columns(manifest.schema, options.columns)
    positions = {leaf.id: i for i, leaf in enumerate(manifest.schema.leaves)}
    ends = np.cumsum([0] + [shard.rows for shard in manifest.shards])
    filling = Filling(options.cache, files.gone) if options.io == "pread" else None
    shard_set = _core.ShardSet(ends, Opener(files, filling), verify=VERIFY[options.verify], copy=options.copy, guard=filling)
    return Handle(options, manifest, shard_set, _core.Projection(schema, positions))


def confirm(handle: Handle, ranges: Ranges) -> None:
    """Before an array of many row numbers is made: opens the shards that hold these rows, so that their footers are compared with what the manifest
    claims."""
    if sum(stop - start for start, stop in ranges) <= CONFIRMED:
        return
    ends = np.cumsum([shard.rows for shard in handle.manifest.shards])
    starts, stops = np.array([part for part in ranges if part[0] < part[1]], np.int64).T
    touched = np.zeros(len(ends) + 1, np.int64)
    np.add.at(touched, np.searchsorted(ends, starts, "right"), 1)
    np.add.at(touched, np.searchsorted(ends, stops, "left") + 1, -1)
    for k in np.flatnonzero(np.cumsum(touched[:-1])).tolist():
        handle.shard_set.shard(k)


def rows_of(ranges: Ranges, where: str) -> np.ndarray:
    """The rows of several ranges, in their order."""
    starts, stops = np.array(ranges, np.int64).reshape(-1, 2).T
    lengths = stops - starts
    total = int(lengths.sum())
    try:
        return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(total)
    except MemoryError:
        what = f"{total:,} rows in {len(ranges):,} ranges"
        raise LimitError(f"{where}: {what}: their numbers take more memory than there is; read a slice of the dataset") from None


def manifest_of_file(path: Path) -> Manifest:
    """A single shard file, as a dataset of one."""
    shard = open_shard(path)
    info = ShardInfo(path.name, shard.rows, shard.size, shard.size - shard.footer_offset, f"{shard.root:016x}")
    return Manifest(shard_schema(shard), (info,))


def as_names(columns: Sequence[str]) -> tuple[str, ...]:
    if isinstance(columns, str):
        raise TypeError(f"columns={columns!r}: give a list of names: columns=[{columns!r}]")
    if not hasattr(columns, "__iter__"):
        raise TypeError(f"columns={columns!r:.80}: give a list of names")
    return tuple(columns)


def select_columns(schema: Schema, columns: tuple[str, ...] | None) -> Schema:
    if columns is None:
        return schema
    if not columns:
        raise ValueError("columns=[]: name at least one column")
    if schema.container == "value":
        raise ValueError("columns= is for examples with named columns; these are single values")
    for name in columns:
        try:
            schema[name]
        except KeyError as cause:
            raise KeyError(cause.args[0]) from None
    return Schema(tuple(schema[name] for name in columns), schema.container, schema.name)


class Opener:
    """Opens shard k when it is first needed, and checks that it is the one the manifest means."""

    def __init__(self, files: Files, filling: Filling | None) -> None:
        self._files = files
        self._filling = filling
        self._schema_json = rfc8785.dumps(files.manifest.schema.to_json())

    def __call__(self, k: int) -> _core.Shard:
        info = self._files.manifest.shards[k]
        path = self._files[k]
        try:
            shard = open_shard(path) if self._filling is None else self._filling.open(k, lambda: open_anonymous(path, info.tail))
        except FileNotFoundError:
            raise self._files.gone(k) from None
        if f"{shard.root:016x}" != info.root or shard.rows != info.rows:
            broken = f"{path}: footer hash or rows are not those in the manifest: the file was replaced (byte {shard.footer_offset})"
            raise self._files.changed(k) or CorruptError(broken)
        if shard.schema_json != self._schema_json:
            raise UnsupportedError(f"{path}: the shard's columns are not the manifest's: this version reads datasets whose shards have one schema")
        return shard
