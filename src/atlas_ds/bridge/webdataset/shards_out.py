"""Writes tar shards under hidden names, and publishes them together when all are complete.
Samples are only bytes here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from atlas_ds.bridge.compression.writing import PACKERS
from atlas_ds.bridge.tar.header import archive_end, is_plain, member_header, padding
from atlas_ds.bridge.webdataset.pattern import Pattern
from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.store.atomic import publish_atomically
from atlas_ds.store.files import NewFile

HELD = 1 << 20  # bytes buffered before a write


@dataclass(slots=True)
class Shard:
    """One file: its samples so far, and the bytes of their members' data."""

    file: NewFile
    name: str
    samples: int = 0
    data: int = 0


class ShardsOut:
    """Distributes samples over shards: a new shard begins once the last has maxcount samples or
    maxsize bytes of data."""

    def __init__(self, pattern: Pattern, maxcount: int, maxsize: int, *, unique: bool) -> None:
        """unique: the keys are known to differ, so they need not be remembered."""
        self._pattern, self._maxcount, self._maxsize, self._unique = pattern, maxcount, maxsize, unique
        self.shards: list[Shard] = []
        self.not_plain = 0
        self._begin()

    def add(self, row: int, key: str, members: list[tuple[str, bytes]]) -> None:
        """A sample: (field, bytes) of each member. The key has been checked, except for
        duplicates in the shard."""
        shard = self.shards[-1]
        if shard.samples >= self._maxcount or shard.data >= self._maxsize:
            self._end()
            self._begin()
            shard = self.shards[-1]
        if not self._unique:
            if key in self._keys:
                raise SchemaError(
                    f"row {row}: key {key!r}: it is already in {shard.name}, and readers would merge or lose one of the two;"
                    " make the keys unique, or pass key= another column or a function"
                )
            self._keys.add(key)
        for field, data in members:
            name = f"{key}.{field}"
            self.not_plain += not is_plain(name)
            size = len(data)
            parts = (member_header(name, size), data, padding(size))
            self._parts += parts
            self._held += len(parts[0]) + size + len(parts[2])
            shard.data += size
        shard.samples += 1
        if self._held >= HELD:
            self._flush()

    def finish(self) -> None:
        self._end()

    def publish(self, existing: list[Path], index: bool) -> tuple[list[Path], int]:
        """Renames all shards and the index into place, and removes existing ones that are not
        replaced. Returns the shards' paths and bytes."""
        files = [(shard.file, shard.name) for shard in self.shards]
        if index:
            file = NewFile(self._pattern.folder, self._pattern.index)
            files.append((file, self._pattern.index))
            try:
                file.write(self._index())
            except BaseException:
                file.discard()
                raise
        paths = publish_atomically(self._pattern.folder, files, existing)
        return paths[: len(self.shards)], sum(shard.file.size for shard in self.shards)

    def discard(self) -> None:
        """Removes everything that was not published."""
        for shard in self.shards:
            shard.file.discard()

    def _begin(self) -> None:
        if self.shards and self._pattern.digits is None:
            raise LimitError(
                f"{self._pattern.name(0)}: {self.shards[0].samples:,} samples fill it (maxcount, maxsize), but the pattern is for one file;"
                " put a number such as %06d into it, or raise the limits"
            )
        self._packer = PACKERS[self._pattern.packing]()  # before a file is created: its library may be missing
        name = self._pattern.name(len(self.shards))
        self.shards.append(Shard(NewFile(self._pattern.folder, name), name))
        self._keys: set[str] = set()
        self._parts: list[bytes] = []
        self._held = self._size = 0

    def _end(self) -> None:
        self._size += self._held
        self._parts.append(archive_end(self._size))
        self._held = 0
        self._flush()
        file = self.shards[-1].file
        file.write(self._packer.flush())
        file.finish()

    def _flush(self) -> None:
        self.shards[-1].file.write(self._packer.compress(b"".join(self._parts)))
        self._size += self._held
        self._parts, self._held = [], 0

    def _index(self) -> bytes:
        """The index for wids: the shards by name, relative to the index, with their numbers of
        samples."""
        listed = [{"url": shard.name, "nsamples": shard.samples, "filesize": shard.file.size} for shard in self.shards]
        index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": Path(self._pattern.index).stem, "shardlist": listed}
        return json.dumps(index, indent=2).encode() + b"\n"
