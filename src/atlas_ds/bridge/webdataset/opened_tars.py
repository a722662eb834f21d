"""Opened tars for random access: the samples of a tar by their index, from a local file or a URL,
and the errors for tars that have changed.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from atlas_ds._tar import Samples, TarReader
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.index import TarIndex, Version, changed, index_of, removed
from atlas_ds.bridge.webdataset.remote_tars import RemoteTars
from atlas_ds.bridge.webdataset.samples import KEY, Rules
from atlas_ds.errors import CorruptError, SchemaError, TruncatedError
from atlas_ds.progress import Progress
from atlas_ds.store.cache_place import CachePlace
from atlas_ds.store.descriptors import add_cache, open_to_read, share
from atlas_ds.store.file_url import FileUrl
from atlas_ds.store.filling import make_filling
from atlas_ds.store.keeping import Hold
from atlas_ds.store.requests import Block
from atlas_ds.text import printable

OPEN_FILES = 256
MAX_ROWS, MAX_BYTES = 64, 8 << 20  # of the samples at URLs that iteration asks for at a time


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """The arguments of a TarDataset: enough to open it again in another process."""

    names: tuple[str, ...]
    rules: Rules
    index: Path | None
    fields: tuple[str, ...] | None
    decode: bool | tuple[str, ...]
    images: str | None
    mapped: bool
    memory: int
    cache: CachePlace | None


class OpenTars:
    """Opened tars with their indexes; shared by all views."""

    def __init__(self, opening: OpenOptions, progress: bool = False) -> None:
        self.opening = opening
        remote = next((name for name in opening.names if isinstance(name, FileUrl)), None)
        filling = None if remote is None else make_filling(opening.memory, opening.cache, store=remote.store)
        with Progress(len(opening.names), "indexing", "tars", progress) as bar:
            self.indexes: list[TarIndex] = []
            for name in opening.names:
                self.indexes.append(index_of(name, opening.rules, opening.index))
                bar.advance()
        self.versions = [one.version for one in self.indexes]
        self.starts = [0]
        for one in self.indexes:
            self.starts.append(self.starts[-1] + len(one))
        every = dict.fromkeys(field for one in self.indexes for field in one.fields)
        self.fields = tuple(every) if opening.fields is None else opening.fields
        unknown = set(self.fields) - set(every)
        if unknown:
            name = min(unknown)
            have = ", ".join(map(printable, every)) + tars.without_dot(name, every)
            raise SchemaError(f"{opening.names[0]}: no tar has a .{printable(name)}; the fields are {have}")
        tars.check_decode(opening.decode, every, opening.names[0])
        self.converts = tars.converters(self.fields, opening.decode, opening.images, opening.rules.max_expansion)
        self.empty: dict[str, object] = dict.fromkeys((KEY, *self.fields))
        self.media = [field for field, convert in self.converts.items() if convert is tars.as_media]
        self.values = [(field, convert) for field, convert in self.converts.items() if convert is not tars.as_media]
        total = sum(one.version.size for one in self.indexes)
        self.remote = None if filling is None else RemoteTars(opening.names, self.indexes, self.fields, filling)
        self.rows_at_once = max(1, min(MAX_ROWS, MAX_BYTES * self.starts[-1] // max(1, total)))
        self.larger_than_memory = total > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

    def reader(self) -> Callable[[int], dict[str, Any]]:
        """A function that returns the sample of a row."""
        samples = Samples(self.starts, self.open, self.fail, share(OPEN_FILES, 4))
        add_cache(samples)
        return partial(self.converted, samples) if self.converts else samples.sample

    def converted(self, samples: Samples, row: int) -> dict[str, Any]:
        example = samples.sample(row)
        for field in self.media:
            if example[field] is not None:
                example[field] = tars.as_media(example[field])
        for field, convert in self.values:
            if example[field] is not None:
                name = self.opening.names[samples.tar_of(row)]
                example[field] = convert(example[field], f"{name}: {printable(example[KEY])}.{printable(field)}")
        return example

    def ask(self, rows: np.ndarray, *, ahead: bool = False) -> list[Hold[Block]]:
        """Makes those of some samples present that are at URLs; they stay until the exit() of what is returned. ahead: see RemoteTars.ask."""
        if self.remote is None:
            return []
        starts = np.array(self.starts)
        numbers = np.searchsorted(starts, rows, "right") - 1
        return [self.remote.ask(numbers, rows - starts[numbers], ahead=ahead)]

    def place_of(self, row: int) -> str:
        """The tar that has a row."""
        return self.opening.names[bisect_right(self.starts, row) - 1]

    def open(self, number: int) -> TarReader | Callable[[int], Any]:
        name, index = self.opening.names[number], self.indexes[number]
        if self.remote is not None and isinstance(name, FileUrl):
            return partial(self.remote.open(number).sample, self.empty)
        columns = tuple((field, index.fields.index(field)) for field in self.fields if field in index.fields)
        fd = open_unchanged(name, index.version)
        return TarReader(fd, index.version.size, self.opening.mapped, self.larger_than_memory, index.rows, columns, self.empty)

    def fail(self, number: int, byte: int, why: str | OSError) -> NoReturn:
        name = self.opening.names[number]
        if isinstance(why, OSError):
            raise OSError(why.errno, f"{why.strerror}; check the disk or the network, then read again", name) from None
        if why == "cut":
            raise TruncatedError(f"{name}: byte {byte}: the file ends at or before this byte; it was truncated after it was opened: open it again")
        if why == "index":  # the index file may come from an untrusted source
            raise CorruptError(f"{name}: its index is damaged: byte {byte}, or the data at it, is outside the tar; delete the index, and it is built again")
        raise CorruptError(f"{name}: byte {byte}: the header is not the one that was indexed; the tar was changed: open it again, or delete its index")


def open_unchanged(name: str, version: Version) -> int:
    """A descriptor of a local tar. DatasetChanged if it is missing or not the indexed one; a
    truncated one is read up to its end."""
    try:
        fd = open_to_read(name)
    except FileNotFoundError:
        raise removed(name) from None
    state = os.fstat(fd)
    now = Version(state.st_size, state.st_mtime_ns)
    if now == version or now.size < version.size:
        return fd
    os.close(fd)
    raise changed(name, version, now)
