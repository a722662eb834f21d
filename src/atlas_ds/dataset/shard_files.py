"""The shard files of an open dataset: opened when they are first needed, and compared with the manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas_ds import _core
from atlas_ds.dataset.manifest import Manifest, read_manifest
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged, UnsupportedError
from atlas_ds.schema.schema import with_all_names
from atlas_ds.shard.info import ShardInfo
from atlas_ds.shard.open import ShardFile, check_leaves, leaf_entries, open_filled, open_shard, shard_info, shard_schema
from atlas_ds.store.filling import Filling
from atlas_ds.store.store import Store, place_of


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of a dataset as it was opened, and the errors if one of them is gone. file: the name of the only one, if it was opened alone."""

    store: Store
    manifest: Manifest
    file: str | None

    def name(self, k: int) -> str:
        """Of shard k, in the store."""
        return self.manifest.shards[k].path if self.file is None else self.file

    def place(self, k: int) -> str:
        """How errors name shard k."""
        return place_of(self.store, self.name(k))

    def gone(self, k: int) -> Exception:
        """Returns the error of shard k, whose file does not exist: the dataset was replaced or removed, or this file is missing."""
        why = self.changed(k)
        if why is not None:
            return why
        where = place_of(self.store, self.file)
        cure = f"restore it, or save the other rows: atlas-ds repair {where}"
        return FileNotFoundError(f"{self.place(k)}: file not found, but {MANIFEST} names it; {cure}")

    def explained(self, k: int, error: Exception) -> Exception:
        """The error to raise for one of the store: a file that is gone says more."""
        return self.gone(k) if isinstance(error, FileNotFoundError) else error

    def changed(self, k: int) -> DatasetChanged | None:
        """Returns an error if the dataset in the store is not the one that was opened, as far as shard k shows it."""
        name = MANIFEST if self.file is None else self.file
        where = place_of(self.store, name)
        try:
            self.store.info(name)
            found = None if self.file is not None else read_manifest(self.store)
        except (FileNotFoundError, NotADirectoryError):
            return DatasetChanged(f"{where}: the dataset was removed after it was opened; restore it, or write it again and open it again")
        except AtlasError:
            return None  # a damaged manifest says nothing
        info = self.manifest.shards[k]
        if found is not None and any((shard.path, shard.root) == (info.path, info.root) for shard in found.shards):
            return None
        return DatasetChanged(f"{where}: the dataset was replaced after it was opened: shard {k}, {info.path}, is no longer in it; open it again")


def different(info: ShardInfo, other: ShardInfo) -> str:
    """What one says of a shard and the other does not."""
    return " and ".join(f"{name} {value}" for name, value in info._asdict().items() if value != getattr(other, name))


class Opener:
    """Opens shards when they are first needed, and checks them against the manifest. filling: of their blocks; None: they are mapped."""

    def __init__(self, files: ShardFiles, filling: Filling | None) -> None:
        self._files = files
        self._filling = filling
        self._schema_json = files.manifest.schema.dumps()
        self._entries = leaf_entries(files.manifest.schema)

    def __call__(self, numbers: Sequence[int]) -> list[_core.Shard]:
        """The shards of these numbers. Raises the error of the first that cannot be opened."""
        shards = []
        for found in self.open(numbers):
            if isinstance(found, Exception):
                raise found
            shards.append(found)
        return shards

    def open(self, numbers: Sequence[int]) -> list[_core.Shard | Exception]:
        """The shards of these numbers, or the error of each."""
        if self._filling is None:
            return [self._checked(k, self._mapped(k)) for k in numbers]
        infos = [self._files.manifest.shards[k] for k in numbers]
        files = [ShardFile(self._files.name(k), info.bytes, info.tail, info.root) for k, info in zip(numbers, infos, strict=True)]
        explained = self._files.explained  # the spans keep it: it may not lead back to the filling, which keeps them
        found = open_filled(self._files.store, files, lambda at, error: explained(numbers[at], error), self._filling)
        return [self._checked(k, shard) for k, shard in zip(numbers, found, strict=True)]

    def _mapped(self, k: int) -> _core.Shard | Exception:
        folder = self._files.store.folder
        assert folder is not None
        try:
            return open_shard(folder / self._files.name(k))
        except (AtlasError, OSError) as error:
            return self._files.explained(k, error)

    def _checked(self, k: int, shard: _core.Shard | Exception) -> _core.Shard | Exception:
        if isinstance(shard, Exception):
            return shard
        info = self._files.manifest.shards[k]
        if f"{shard.root:016x}" != info.root or shard.rows != info.rows:
            broken = f"{shard.path}: footer hash or rows do not match the manifest: the file was replaced (byte {shard.footer_offset})"
            return self._files.changed(k) or CorruptError(broken)
        found = shard_info(shard, info.path)
        if found != info:
            said = f"{different(info, found)}, and the shard has {different(found, info)}"
            return CorruptError(f"{shard.path}: the manifest says {said}: the manifest was edited; restore it, or run `atlas-ds repair`")
        try:
            if shard.schema_json == self._schema_json:
                check_leaves(shard, self._entries)
                return shard
            schema = shard_schema(shard)
        except AtlasError as error:
            return error
        if with_all_names(self._files.manifest.schema, schema) != self._files.manifest.schema:  # classes may have been added later
            why = "the shard's columns differ from the manifest's: this version reads datasets whose shards have one schema"
            return UnsupportedError(f"{shard.path}: {why}")
        return shard
