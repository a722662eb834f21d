"""open_tar: tars as they lie, as a map-style dataset. What is in them is found through index.py; nothing is converted or unpacked."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex, TypeVar, overload

import numpy as np

from atlas_ds._tar import Samples, TarReader, header_hash
from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.tar.archive import BLOCK
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.in_place_lacks import LACKS
from atlas_ds.bridge.webdataset.index import TarIndex, Version, index_of
from atlas_ds.bridge.webdataset.samples import KEY, Duplicates, Interleaved, Rules
from atlas_ds.bridge.webdataset.urls import Sources, expand, is_remote
from atlas_ds.dataset.convert import Chain
from atlas_ds.dataset.images import Decode
from atlas_ds.dataset.map_style import ExampleT
from atlas_ds.dataset.open import Io
from atlas_ds.dataset.place import add_note
from atlas_ds.dataset.sequence import Views
from atlas_ds.dataset.views import index_rows, positions
from atlas_ds.dataset.workers import for_data_loader
from atlas_ds.errors import CorruptError, DatasetChanged, SchemaError, TruncatedError, UnsupportedError
from atlas_ds.progress import Progress
from atlas_ds.schema.images import MODES, need_images
from atlas_ds.store.descriptors import add_cache, open_to_read, share
from atlas_ds.store.remote import RemoteFile, look_up
from atlas_ds.text import count, printable

OPEN_FILES = 256
Columns = tuple[tuple[str, int], ...]
T = TypeVar("T")
Wrong = tuple[int, str]  # byte, and what is wrong there


@dataclass(frozen=True, slots=True)
class Opening:
    """What a TarDataset was opened with: enough to open it again in another process."""

    names: tuple[str, ...]
    rules: Rules
    index: Path | None
    fields: tuple[str, ...] | None
    decode: bool | tuple[str, ...]
    pictures: str | None
    mapped: bool


def open_tar(
    sources: Sources,
    *,
    fields: Sequence[str] | None = None,
    decode: bool | Decode | Sequence[str] = False,
    interleaved: Interleaved = "error",
    duplicates: Duplicates = "error",
    keep_case: bool = False,
    encoding: str = "utf-8",
    index: str | os.PathLike[str] | None = None,
    io: Io = "mmap",
    max_expansion: int = MAX_EXPANSION,
    allow_http: bool = False,
    progress: bool = True,
) -> TarDataset:
    """Opens WebDataset tars where they lie: `ds[i]` is what `import_webdataset` stores as row i.

    The first call walks through each tar once and keeps an index, an Atlas shard beside it
    (`train.tar.atlas`) or, where that cannot be written, in the user's cache folder. A tar whose
    size or modification time (of a URL: ETag) differs from its index is walked through again; a
    header that changes while the tar is open is an error at the sample it concerns.

    Parameters
    ----------
    sources
        Plain tars, local or behind URLs, as for `import_webdataset`.
    fields
        Only these extensions; None: all.
    decode
        As for `import_webdataset`; "pil", "numpy" or "torch" is True, and images are returned
        decoded.
    interleaved, duplicates, keep_case, encoding
        As for `import_webdataset`.
    index
        The folder of the indexes; None: beside the tars.
    io
        "mmap" reads through the kernel's page cache. "pread" is for file systems where mapping is
        slow, or where a tar may be truncated while a sample of it is read.
    max_expansion
        How many times its own size a `.npz` in it may expand.
    allow_http
        URLs may be of http without TLS.
    progress
        Show progress on stderr.

    Returns
    -------
    TarDataset
        A map-style dataset.

    Raises
    ------
    UnsupportedError
        A tar is packed, or has sparse members: these cannot be read at random.
    CorruptError, TruncatedError
        A tar is damaged; the text names the byte.
    """
    names = tuple(name if tars.is_stream(name) else os.path.abspath(name) for name in expand(sources, allow_http))
    if tars.STDIN in names:
        raise UnsupportedError("standard input cannot be read at random; save it to a file, or import_webdataset it")
    if io not in ("mmap", "pread"):
        raise ValueError(f"io={io!r}: 'mmap' or 'pread'")
    tars.refuse_text("fields", fields)
    chosen = None if fields is None else tuple(fields)
    rules = Rules(
        interleaved=interleaved, duplicates=duplicates, keep_case=keep_case, encoding=encoding, max_expansion=max_expansion, allow_http=allow_http
    )
    pictures = decode if isinstance(decode, str) else None
    if pictures is not None:
        if pictures not in MODES:
            raise ValueError(f"decode={decode!r}: 'pil', 'numpy' or 'torch' decodes images, too; else True, or a list of extensions, such as ['cls', 'json']")
        need_images(pictures)
    values = decode if isinstance(decode, bool) else True if isinstance(decode, str) else tuple(decode)
    opening = Opening(names, rules, None if index is None else Path(index), chosen, values, pictures, io == "mmap")
    opened = Opened(opening, progress)
    return TarDataset(opened, opened.reader())


class Opened:
    """Tars with their indexes; shared by all views."""

    def __init__(self, opening: Opening, progress: bool = False) -> None:
        self.opening = opening
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
        self.converts = tars.converters(self.fields, opening.decode, opening.pictures, opening.rules.max_expansion)
        self.empty: dict[str, object] = dict.fromkeys((KEY, *self.fields))
        self.media = [field for field, convert in self.converts.items() if convert is tars.as_media]
        self.values = [(field, convert) for field, convert in self.converts.items() if convert is not tars.as_media]
        self.larger_than_memory = sum(one.version[0] for one in self.indexes) > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2

    def reader(self) -> Callable[[int], dict[str, Any]]:
        """A function of a row."""
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

    def place_of(self, row: int) -> str:
        """Which tar has a row."""
        return self.opening.names[bisect_right(self.starts, row) - 1]

    def open(self, number: int) -> TarReader | Callable[[int], Any]:
        name, index = self.opening.names[number], self.indexes[number]
        columns = tuple((field, index.fields.index(field)) for field in self.fields if field in index.fields)
        what = index.rows, columns, self.empty
        if is_remote(name):
            return partial(remote_sample, look_up(name, self.opening.rules.allow_http), index.version[0], *what)
        return TarReader(open_unchanged(name, index.version), index.version[0], self.opening.mapped, self.larger_than_memory, *what)

    def fail(self, number: int, byte: int, why: str | OSError) -> NoReturn:
        name = self.opening.names[number]
        if isinstance(why, OSError):
            raise OSError(why.errno, f"{why.strerror}; check the disk or the network, then read again", name) from None
        if why == "cut":
            raise TruncatedError(f"{name}: byte {byte}: the file ends at or before this byte; it was cut after it was opened: open it again")
        if why == "index":  # the file of the index may come from anywhere
            wrong = "or what is to be read there, is not in the tar"
            raise CorruptError(f"{name}: its index is damaged: byte {byte}, {wrong}; delete the index, and it is made anew")
        changed = "another header than when the tar was indexed"
        raise CorruptError(f"{name}: byte {byte}: {changed}; it was changed meanwhile: open it again, or delete its index")


def open_unchanged(name: str, version: Version) -> int:
    """A descriptor of a local tar. DatasetChanged if it is gone, or another than was indexed; one that was cut is read as far as it goes."""
    try:
        fd = open_to_read(name)
    except FileNotFoundError:
        raise removed(name) from None
    state = os.fstat(fd)
    now = state.st_size, state.st_mtime_ns
    if now == version or now[0] < version[0]:
        return fd
    os.close(fd)
    raise changed(name, version, now)


def removed(name: str) -> DatasetChanged:
    return DatasetChanged(f"{name}: the tar was removed after it was opened; put it back, or open the tars that are left")


def changed(name: str, then: Version, now: Version) -> DatasetChanged:
    had = f"{then[0]:,} bytes and time or version {then[1]} when it was opened, and has {now[0]:,} bytes and {now[1]} now"
    return DatasetChanged(f"{name}: the tar was changed: it had {had}; open it again")


def remote_sample(file: RemoteFile, total: int, rows: Any, columns: Columns, empty: dict[str, object], k: int) -> dict[str, object] | Wrong:
    """What TarReader.sample does, of a file behind a URL: one request for all members, and what is between them."""
    sample = empty | {KEY: rows[k]["key"]}
    members = rows[k]["members"].tolist()
    wanted = [(name, *members[column]) for name, column in columns if members[column][0] >= 0]
    if not wanted:
        return sample
    for _, start, size, _ in wanted:
        if start < BLOCK or size < 0 or start + size > total:
            return start, "index"
    first = min(start for _, start, _, _ in wanted) - BLOCK
    data = file.read(first, max(start + size for _, start, size, _ in wanted) - first)
    for name, start, size, hashed in wanted:
        place = start - first
        if header_hash(data[place - BLOCK : place]) != hashed:
            return start - BLOCK, "header"
        sample[name] = data[place : place + size]
    return sample


@dataclass(frozen=True, slots=True)
class Mapped:
    """A reader, then a function; errors of the function name the row and the tar."""

    read: Callable[[int], dict[str, Any]]
    function: Callable[[Any], Any]
    opened: Opened

    def __call__(self, row: int) -> Any:
        sample = self.read(row)
        try:
            return self.function(sample)
        except Exception as error:
            add_note(error, f"in map of row {row}: {self.opened.place_of(row)}")
            raise


class TarDataset(Views[ExampleT]):
    """Samples of tars as a map-style dataset; made by `atlas.open_tar`.

    An example is a dict: `__key__`, and each field's value or None. `len(ds)` and iteration are
    those of a dataset.

    Reading is safe from several threads, and in processes started by fork, forkserver or spawn. It
    can be pickled: another process opens the tars again.
    """

    def __init__(
        self,
        opened: Opened,
        read: Callable[[int], dict[str, Any]],
        rows: range | np.ndarray | None = None,
        function: Callable[[Any], Any] | None = None,
    ) -> None:
        """read: an example by its row in the tars; function: what it passes through."""
        self._opened, self._read, self._function = opened, read, function
        self._example: Callable[[int], Any] = read if function is None else Mapped(read, function, opened)
        self._rows = range(opened.starts[-1]) if rows is None else rows

    _lacks = LACKS

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an example, without `__key__`."""
        return self._opened.fields

    @property
    def tars(self) -> tuple[str, ...]:
        """The files, in order."""
        return self._opened.opening.names

    @property
    def _is_remote(self) -> bool:
        return any(map(is_remote, self.tars))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> ExampleT: ...
    @overload
    def __getitem__(self, key: slice | Sequence[SupportsIndex] | np.ndarray) -> TarDataset[ExampleT]: ...
    def __getitem__(self, key: Any) -> Any:
        """Returns one example, or a view of some rows.

        Parameters
        ----------
        key
            A row number, a slice, a list or array of row numbers, or a bool mask.

        Raises
        ------
        DatasetChanged, CorruptError, TruncatedError
            The tar was changed, or is damaged.
        """
        if type(key) is int or (not isinstance(key, bool) and hasattr(key, "__index__") and getattr(key, "ndim", 0) == 0):
            try:
                row = self._rows[key]
            except IndexError:
                raise IndexError(f"row {key} is out of range for {len(self)} rows") from None
            return self._example(row if type(row) is int else int(row))
        if isinstance(key, str):
            raise TypeError(f"ds[{key!r}]: rows are numbers, slices, lists or masks; a field is open_tar(..., fields=[{key!r}])")
        return self.select(key)

    def select(self, indices: Any) -> TarDataset[ExampleT]:
        return TarDataset(self._opened, self._read, index_rows(self._rows, indices), self._function)

    def map(self, function: Callable[[ExampleT], T]) -> TarDataset[T]:
        """Returns a view whose examples pass through a function, one by one, when they are read.

        Parameters
        ----------
        function
            A function of an example; picklable if worker processes are spawned.
        """
        return TarDataset(self._opened, self._read, self._rows, function if self._function is None else Chain(self._function, function))

    def __getitems__(self, indices: Sequence[int]) -> list[ExampleT]:
        """The examples at several positions: what torch's DataLoader asks for."""
        rows = index_rows(self._rows, positions(indices, len(self)))
        return for_data_loader([self._example(row) for row in np.asarray(rows).tolist()], lambda: True)

    def _place_of(self, row: int) -> str:
        return self._opened.place_of(int(self._rows[row]))

    def __iter__(self) -> Iterator[ExampleT]:
        for row in self._rows:
            yield self._example(int(row))

    def __reduce__(self) -> tuple[Any, ...]:
        whole = isinstance(self._rows, range) and self._rows == range(self._opened.starts[-1])
        return reopen, (self._opened.opening, self._opened.versions, None if whole else self._rows, self._function)

    def __repr__(self) -> str:
        fields = ", ".join(map(printable, self.fields))
        return f"TarDataset({count(len(self), 'sample')} of {count(len(self.tars), 'tar')}, {'fields ' + fields if fields else 'no fields'})"


def reopen(opening: Opening, versions: list[Version], rows: range | np.ndarray | None, function: Callable[[Any], Any] | None) -> TarDataset:
    """In another process; rows are only those of the tars as they were."""
    for name in opening.names:
        if not is_remote(name) and not os.path.exists(name):
            raise removed(name)
    opened = Opened(opening)
    for name, then, now in zip(opening.names, versions, opened.versions, strict=True):
        if then != now:
            raise changed(name, then, now)
    return TarDataset(opened, opened.reader(), rows, function)
