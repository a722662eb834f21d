"""open_tar: tars in place, as a map-style dataset. index.py locates the samples; nothing is
converted or unpacked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar, overload

import numpy as np

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.index import Version, changed, removed
from atlas_ds.bridge.webdataset.opened_tars import OpenOptions, OpenTars
from atlas_ds.bridge.webdataset.samples import Duplicates, Interleaved, Rules
from atlas_ds.bridge.webdataset.unsupported import LACKS
from atlas_ds.bridge.webdataset.urls import Sources, given_tars
from atlas_ds.dataset.example_format import Chain
from atlas_ds.dataset.images import Decode
from atlas_ds.dataset.map_style import ExampleT
from atlas_ds.dataset.open import Io
from atlas_ds.dataset.row_place import add_note
from atlas_ds.dataset.sequence import Views
from atlas_ds.dataset.views import index_rows, positions
from atlas_ds.dataset.workers import for_data_loader
from atlas_ds.errors import UnsupportedError
from atlas_ds.schema.images import MODES, need_images
from atlas_ds.sizes import parse_bytes
from atlas_ds.store.cache_place import cache_place
from atlas_ds.store.file_url import FileUrl
from atlas_ds.store.filling import Filling
from atlas_ds.store.keeping import Hold
from atlas_ds.store.requests import Block
from atlas_ds.text import count, printable

T = TypeVar("T")


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
    memory_limit: int | str = "256MiB",
    max_expansion: int = MAX_EXPANSION,
    allow_http: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    cache: str | os.PathLike[str] | None = "auto",
    cache_limit: int | str = "auto",
    progress: bool = True,
) -> TarDataset:
    """Opens WebDataset tars in place: `ds[i]` is what `import_webdataset` stores as row i.

    The first call reads the headers of each tar once and stores an index, an Atlas shard beside it
    (`train.tar.atlas`) or, where that cannot be written, in the user's cache folder. A tar whose
    size or modification time (of a URL: ETag, or else size and Last-Modified) differs from its index is indexed again; a header
    that changes while the tar is open is an error at the sample it concerns.

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
    memory_limit
        At URLs: the most bytes of samples that are kept in memory, of those that are not in the
        cache.
    max_expansion
        How many times its own size a `.npz` in it may expand.
    allow_http
        URLs may be of http without TLS: the same as `storage_options={"allow_http": True}`.
    storage_options
        How URLs are reached, as for AtlasDataset. A presigned URL needs none.
    cache, cache_limit
        With URLs: where samples that were read are kept, and how much they may take, as for
        AtlasDataset. A tar without a strong ETag is kept in memory only.
    progress
        Show progress on stderr.

    Returns
    -------
    TarDataset
        A map-style dataset.

    Raises
    ------
    UnsupportedError
        A tar is compressed, or has sparse members: these cannot be read at random.
    CorruptError, TruncatedError
        A tar is damaged; the text names the byte.
    """
    names = tuple(name if tars.is_stream(name) else os.path.abspath(name) for name in given_tars(sources, allow_http, storage_options))
    if tars.STDIN in names:
        raise UnsupportedError("standard input cannot be read at random; save it to a file, or use import_webdataset")
    if io not in ("mmap", "pread"):
        raise ValueError(f"io={io!r}: must be 'mmap' or 'pread'")
    tars.refuse_text("fields", fields)
    chosen = None if fields is None else tuple(fields)
    rules = Rules(interleaved=interleaved, duplicates=duplicates, keep_case=keep_case, encoding=encoding, max_expansion=max_expansion)
    images = decode if isinstance(decode, str) else None
    if images is not None:
        if images not in MODES:
            raise ValueError(f"decode={decode!r}: must be True, False, 'pil', 'numpy' or 'torch', or a list of extensions such as ['cls', 'json']")
        need_images(images)
    values = decode if isinstance(decode, bool) else True if isinstance(decode, str) else tuple(decode)
    at_urls = any(isinstance(name, FileUrl) for name in names)
    place = cache_place(cache, cache_limit, wanted=at_urls)
    if place is not None and not at_urls:
        raise ValueError(f"cache={cache!r}: is for URLs, and none of the tars is at one: the system keeps files that were read in memory")
    memory = parse_bytes(memory_limit, "memory_limit")
    opening = OpenOptions(names, rules, None if index is None else Path(index), chosen, values, images, io == "mmap", memory, place)
    opened = OpenTars(opening, progress)
    return TarDataset(opened, opened.reader())


@dataclass(frozen=True, slots=True)
class Mapped:
    """Applies a function to the samples of a reader. Errors of the function name the row and the
    tar."""

    read: Callable[[int], dict[str, Any]]
    function: Callable[[Any], Any]
    opened: OpenTars

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
        opened: OpenTars,
        read: Callable[[int], dict[str, Any]],
        rows: range | np.ndarray | None = None,
        function: Callable[[Any], Any] | None = None,
    ) -> None:
        """read: returns an example by its row in the tars; function: is applied to it."""
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
        """The files, in order; URLs without their queries."""
        return tuple(map(str, self._opened.opening.names))

    @property
    def _is_remote(self) -> bool:
        return self._opened.remote is not None

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
        rows = np.asarray(index_rows(self._rows, positions(indices, len(self))))
        held = self._opened.ask(rows)
        try:
            examples = [self._example(row) for row in rows.tolist()]
        finally:
            release(held)
        return for_data_loader(examples, lambda: True)

    def _ask(self, at: np.ndarray) -> list[Hold[Block]]:
        return self._opened.ask(np.asarray(index_rows(self._rows, at)), ahead=True)

    def _fillings(self) -> list[Filling]:
        return [] if self._opened.remote is None else [self._opened.remote.filling]

    def _place_of(self, row: int) -> str:
        return self._opened.place_of(int(self._rows[row]))

    def __iter__(self) -> Iterator[ExampleT]:
        step = self._opened.rows_at_once
        for start in range(0, len(self), step):
            rows = np.asarray(self._rows[start : start + step])
            held = self._opened.ask(rows)
            try:
                for row in rows.tolist():
                    yield self._example(row)
            finally:
                release(held)

    def __reduce__(self) -> tuple[Any, ...]:
        every_row = isinstance(self._rows, range) and self._rows == range(self._opened.starts[-1])
        return reopen, (self._opened.opening, self._opened.versions, None if every_row else self._rows, self._function)

    def __repr__(self) -> str:
        fields = ", ".join(map(printable, self.fields))
        return f"TarDataset({count(len(self), 'sample')} of {count(len(self.tars), 'tar')}, {'fields ' + fields if fields else 'no fields'})"


def release(held: list[Hold[Block]]) -> None:
    for one in held:
        one.exit()


def reopen(opening: OpenOptions, versions: list[Version], rows: range | np.ndarray | None, function: Callable[[Any], Any] | None) -> TarDataset:
    """Opens a TarDataset in another process. DatasetChanged if a tar is not the same as before."""
    for name in opening.names:
        if not isinstance(name, FileUrl) and not os.path.exists(name):
            raise removed(name)
    opened = OpenTars(opening)
    for name, then, now in zip(opening.names, versions, opened.versions, strict=True):
        if then != now:
            raise changed(name, then, now)
    return TarDataset(opened, opened.reader(), rows, function)
