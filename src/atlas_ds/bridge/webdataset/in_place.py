"""open_tar: tars in place, as a map-style dataset. index.py locates the samples; nothing is
converted or unpacked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.bridge.compression.reading import MAX_EXPANSION
from atlas_ds.bridge.webdataset import tars
from atlas_ds.bridge.webdataset.in_place_lacks import LACKS
from atlas_ds.bridge.webdataset.index import Version
from atlas_ds.bridge.webdataset.opened_tars import OpenOptions, OpenTars, changed, removed
from atlas_ds.bridge.webdataset.samples import Rules
from atlas_ds.bridge.webdataset.urls import Sources, expand, is_remote
from atlas_ds.dataset.place import add_note
from atlas_ds.dataset.reader import Chain
from atlas_ds.dataset.sequence import Views
from atlas_ds.dataset.views import index_rows, positions
from atlas_ds.dataset.workers import for_data_loader
from atlas_ds.errors import UnsupportedError
from atlas_ds.schema.pictures import MODES, need_pictures
from atlas_ds.text import count, printable


def open_tar(
    sources: Sources,
    *,
    fields: Sequence[str] | None = None,
    decode: bool | str | Sequence[str] = False,
    interleaved: str = "error",
    duplicates: str = "error",
    keep_case: bool = False,
    encoding: str = "utf-8",
    index: str | os.PathLike[str] | None = None,
    io: str = "mmap",
    max_expansion: int = MAX_EXPANSION,
    allow_http: bool = False,
    progress: bool = True,
) -> TarDataset:
    """WebDataset tars as a map-style dataset: ds[i] is what import_webdataset would store as row i. Plain tars, local or behind URLs.

    The first call walks through each tar once and keeps an index, an Atlas shard beside it (train.tar.atlas) or, where that cannot be written,
    in the user's cache folder; `index` names another folder. A tar whose size or time of change (of a URL: ETag) is another than the index says
    is walked through again; a change of a header while it is open is an error at the sample it concerns. decode: as for import_webdataset; "pil",
    "numpy" or "torch" is True, and pictures come decoded. io: "mmap" (the kernel's page cache) or "pread" (for file systems where mapping is slow, or
    where a tar may be cut while a sample of it is read). allow_http: URLs may be of http without TLS. The other options are import_webdataset's.

    UnsupportedError: packed tars and sparse members, which cannot be read at random. CorruptError, TruncatedError: damage, with its byte.
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
        need_pictures(pictures)
    values = decode if isinstance(decode, bool) else True if isinstance(decode, str) else tuple(decode)
    opening = OpenOptions(names, rules, None if index is None else Path(index), chosen, values, pictures, io == "mmap")
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


class TarDataset(Views):
    """Samples of tars: ds[i], ds[10:20], ds[[3, 1]], ds[mask], len, iteration. An example is a
    dict: __key__, and each field's value or None.

    Safe in threads, and in processes started by fork, forkserver or spawn; pickles small: another
    process opens it again.
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
        self._example = read if function is None else Mapped(read, function, opened)
        self._rows = range(opened.starts[-1]) if rows is None else rows

    _lacks = LACKS

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an example, without __key__."""
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

    def __getitem__(self, key: Any) -> Any:
        if type(key) is int or (not isinstance(key, bool) and hasattr(key, "__index__") and getattr(key, "ndim", 0) == 0):
            try:
                row = self._rows[key]
            except IndexError:
                raise IndexError(f"row {key} is out of range for {len(self)} rows") from None
            return self._example(row if type(row) is int else int(row))
        if isinstance(key, str):
            raise TypeError(f"ds[{key!r}]: rows are numbers, slices, lists or masks; a field is open_tar(..., fields=[{key!r}])")
        return self.select(key)

    def select(self, indices: Any) -> TarDataset:
        """A view of some rows: ints, a slice or a bool mask. The same as ds[indices]."""
        return TarDataset(self._opened, self._read, index_rows(self._rows, indices), self._function)

    def map(self, function: Callable[[Any], Any]) -> TarDataset:
        """A view whose examples pass through function (a picklable one, if worker processes are
        to be spawned)."""
        return TarDataset(self._opened, self._read, self._rows, function if self._function is None else Chain(self._function, function))

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, object]]:
        """The examples at several positions: what torch's DataLoader asks for."""
        rows = index_rows(self._rows, positions(indices, len(self)))
        return for_data_loader([self._example(row) for row in np.asarray(rows).tolist()], lambda: True)

    def _place_of(self, row: int) -> str:
        return self._opened.place_of(int(self._rows[row]))

    def __iter__(self) -> Iterator[dict[str, object]]:
        for row in self._rows:
            yield self._example(int(row))

    def __reduce__(self) -> tuple[Any, ...]:
        every_row = isinstance(self._rows, range) and self._rows == range(self._opened.starts[-1])
        return reopen, (self._opened.opening, self._opened.versions, None if every_row else self._rows, self._function)

    def __repr__(self) -> str:
        fields = ", ".join(map(printable, self.fields))
        return f"TarDataset({count(len(self), 'sample')} of {count(len(self.tars), 'tar')}, {'fields ' + fields if fields else 'no fields'})"


def reopen(opening: OpenOptions, versions: list[Version], rows: range | np.ndarray | None, function: Callable[[Any], Any] | None) -> TarDataset:
    """Opens a TarDataset in another process. DatasetChanged if a tar is not the same as before."""
    for name in opening.names:
        if not is_remote(name) and not os.path.exists(name):
            raise removed(name)
    opened = OpenTars(opening)
    for name, then, now in zip(opening.names, versions, opened.versions, strict=True):
        if then != now:
            raise changed(name, then, now)
    return TarDataset(opened, opened.reader(), rows, function)
