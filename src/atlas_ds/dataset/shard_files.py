"""The shard files of an open dataset: opened when they are first needed, and compared with the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import rfc8785

from atlas_ds import _core
from atlas_ds.dataset.filling import Filling
from atlas_ds.dataset.manifest import Manifest, read_manifest
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import AtlasError, CorruptError, DatasetChanged, UnsupportedError
from atlas_ds.shard.open import open_anonymous, open_shard
from atlas_ds.store.descriptors import with_room


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of a dataset as it was opened, and the errors if one of them is gone. path: the folder of the dataset, or its only file."""

    path: Path
    manifest: Manifest
    single: bool

    def __getitem__(self, k: int) -> Path:
        return self.path if self.single else self.path / self.manifest.shards[k].path

    def gone(self, k: int) -> Exception:
        """Returns the error of shard k, whose file does not exist: the dataset was replaced or removed, or this file is missing."""
        why = self.changed(k)
        if why is not None:
            return why
        cure = f"restore it, or save the other rows: atlas-ds repair {self.path}"
        return FileNotFoundError(f"{self[k]}: file not found, but {MANIFEST} names it; {cure}")

    def changed(self, k: int) -> DatasetChanged | None:
        """Returns an error if the dataset on disk is not the one that was opened, as far as shard k shows it."""
        where = self.path if self.single else self.path / MANIFEST
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
        return DatasetChanged(f"{where}: the dataset was replaced after it was opened: shard {k}, {info.path}, is no longer in it; open it again")


class Opener:
    """Opens shard k when it is first needed, and checks it against the manifest."""

    def __init__(self, files: ShardFiles, filling: Filling | None) -> None:
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
            broken = f"{path}: footer hash or rows do not match the manifest: the file was replaced (byte {shard.footer_offset})"
            raise self._files.changed(k) or CorruptError(broken)
        if shard.schema_json != self._schema_json:
            raise UnsupportedError(f"{path}: the shard's columns differ from the manifest's: this version reads datasets whose shards have one schema")
        return shard
