"""The index of a tar: where each sample's fields are, as an Atlas shard with one row per sample.
Built once, kept next to the tar or in a cache.

Columns: key; members: for each field the byte its data begins at (-1: it has none), the bytes of
its data, and the XXH3-64 of its header; about: one JSON text for all rows: the fields, the rules of
grouping, and the tar's size and version.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from atlas_ds.bridge.tar.checksum import BLOCK
from atlas_ds.bridge.webdataset.samples import MAX_FIELDS, Rules, Tally, samples
from atlas_ds.bridge.webdataset.tars import identity, itself, opened
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.dataset.names import SUFFIX, TAR_INDEX_FOLDER, tar_index_name
from atlas_ds.dataset.writer import AtlasDatasetWriter
from atlas_ds.errors import AtlasError, DatasetChanged, LimitError, UnsupportedError
from atlas_ds.schema.schema import make_schema
from atlas_ds.schema.specs import array as array_of
from atlas_ds.store.cache_place import user_folder
from atlas_ds.store.file_url import FileUrl
from atlas_ds.store.files import sync_folder

VERSION = 3
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR)


class Version(NamedTuple):
    """What identifies the content of a tar. changed: modification time in nanoseconds, or the
    version that a store has of it."""

    size: int
    changed: int | str


READ = ("key", "members")  # the columns needed to read a sample


@dataclass(frozen=True, slots=True)
class TarIndex:
    """rows: None where the tar has no sample. fields: in the order of `members`. version: of the
    tar that was indexed."""

    rows: AtlasDataset | None
    fields: tuple[str, ...]
    version: Version

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)


def removed(name: str) -> DatasetChanged:
    return DatasetChanged(f"{name}: the tar was removed after it was opened; restore it, or open the remaining tars")


def changed(name: str, then: Version, now: Version) -> DatasetChanged:
    had = f"{then.size:,} bytes and time or version {then.changed} when it was opened, and has {now.size:,} bytes and {now.changed} now"
    return DatasetChanged(f"{name}: the tar was changed: it had {had}; open it again")


def index_of(name: str, rules: Rules, folder: Path | None) -> TarIndex:
    """The stored index of a tar, or a new one. folder: where indexes are kept; None: next to the
    tar."""
    _, size, changed = identity(name)
    version = Version(size, changed)
    about = json.dumps([VERSION, version, rules.interleaved, rules.duplicates, rules.keep_case, rules.encoding])
    for place in places(name, folder, version):
        found = stored(place, about, version)
        if found is not None:
            return found
    return build(name, rules, folder, about, version)


def places(name: str, folder: Path | None, version: Version) -> list[Path]:
    """Where an index may be, the best place first. URLs that differ in their query alone may be of different tars, which their versions tell."""
    where = os.path.abspath(name)
    if isinstance(name, FileUrl):
        where = f"{name} {version.size} {version.changed}" if name.has_query else str(name)
    hidden = tar_index_name(hashlib.sha256(where.encode("utf-8", "surrogateescape")).hexdigest()[:24])
    if folder is not None:
        return [folder / hidden]
    return [cache_folder() / hidden] if isinstance(name, FileUrl) else [Path(tar_index_name(where)), cache_folder() / hidden]


def cache_folder() -> Path:
    return user_folder() / "tars"


def stored(place: Path, about: str, version: Version) -> TarIndex | None:
    """The index at a place if it is intact and describes the current tar, else None."""
    if not place.is_file():
        return None
    try:
        rows = AtlasDataset(place)
        described = json.loads(rows.batch([0], ["about"])["about"][0])
        fields = tuple(map(str, described["fields"]))
        fits = described.get("of") == about and len(rows) <= version.size // BLOCK  # each has a header
        fits = fits and len(set(fields)) == len(fields) <= MAX_FIELDS and rows.schema == make_schema(columns(len(fields)))
    except (AtlasError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError):
        return None
    return TarIndex(AtlasDataset(place, columns=READ), fields, version) if fits else None


def build(name: str, rules: Rules, folder: Path | None, about: str, version: Version) -> TarIndex:
    """Scans the tar and writes its index to the first writable place."""
    fields: dict[str, int] = {}
    keys: list[str] = []
    flat = array("q")  # sample, field, start, size, hash of every member
    with opened(name, rules) as tar:
        if tar.packed:
            raise UnsupportedError(f"{name}: samples of a compressed tar cannot be read at random; unpack it, or use import_webdataset")
        for sample in samples(tar, rules, Tally(), itself):
            for field, member in sample.fields.items():
                if member.sparse is not None:
                    raise UnsupportedError(f"{name}: byte {member.header}: {member.name!r} is a sparse file, which is not read in place; use import_webdataset")
                flat.extend((len(keys), fields.setdefault(field, len(fields)), member.start, member.size, member.hashed))
            keys.append(sample.key)
    if not keys:
        return TarIndex(None, (), version)
    flat_rows = np.frombuffer(flat, np.int64).reshape(-1, 5)
    members = np.full((len(keys), len(fields), 3), (-1, 0, 0), np.int64)
    members[flat_rows[:, 0], flat_rows[:, 1]] = flat_rows[:, 2:]
    text = json.dumps({"of": about, "fields": list(fields)})
    return TarIndex(keep(places(name, folder, version), {"key": keys, "members": members, "about": [text] * len(keys)}, name), tuple(fields), version)


def columns(fields: int) -> dict[str, Any]:
    return {"key": "str", "members": array_of("int64", (fields, 3)), "about": "str"}


def keep(found: list[Path], values: dict[str, Any], name: str) -> AtlasDataset:
    """Writes the index of a tar to the first writable place."""
    for place in found:
        try:
            if place.parent == cache_folder():
                user_folder().mkdir(mode=0o700, parents=True, exist_ok=True)  # mirrors go there, too, which others may not read
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, values)
            return AtlasDataset(place, columns=READ)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            refused = error
    raise AtlasError(f"{name}: its index cannot be stored: {refused}; give a writable folder: index=") from refused


def write(place: Path, values: dict[str, Any]) -> None:
    """Writes one shard atomically under the name `place`."""
    members = values["members"]
    with TemporaryDirectory(prefix=TAR_INDEX_FOLDER, dir=place.parent) as folder:
        with AtlasDatasetWriter(Path(folder) / "index", len(members), schema=columns(members.shape[1]), workers=0) as writer:
            writer.add_batch(values)
        shards = list((Path(folder) / "index").glob(f"*{SUFFIX}"))
        if len(shards) > 1:
            raise LimitError(f"{place}: the keys differ too much in length for one shard; import the tar instead")
        os.replace(shards[0], place)
    sync_folder(place.parent)
