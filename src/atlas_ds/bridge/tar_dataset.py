"""open_tar: tars as they lie, as a map-style dataset. What is in them is found through tar_index.py; nothing is converted or unpacked."""

from __future__ import annotations

import operator
import os
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.bridge import tars
from atlas_ds.bridge.samples import KEY, Rules, plain
from atlas_ds.bridge.tar import BLOCK
from atlas_ds.bridge.tar_index import TarIndex, Version, index_of
from atlas_ds.bridge.urls import Sources, expand, is_remote
from atlas_ds.dataset.views import compose, positions
from atlas_ds.errors import CorruptError, SchemaError, TruncatedError, UnsupportedError
from atlas_ds.progress import Progress
from atlas_ds.schema.pictures import need_pictures
from atlas_ds.store.remote import look_up

NEAR = 1 << 16  # bytes of a sample that are read at once, headers between its fields too
OPEN_FILES = 256


@dataclass(frozen=True, slots=True)
class Opening:
    """What a TarDataset was opened with: enough to open it again in another process."""

    names: tuple[str, ...]
    rules: Rules
    index: Path | None
    fields: tuple[str, ...] | None
    decode: bool | tuple[str, ...]
    pictures: str | None


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
    progress: bool = True,
) -> TarDataset:
    """WebDataset tars as a map-style dataset: ds[i] is what import_webdataset would store as row i. Plain tars, local or behind URLs.

    The first call walks through each tar once and keeps an index, an Atlas shard beside it (train.tar.atlas) or, where that cannot be written,
    in the user's cache folder; `index` names another folder. A tar whose size or time of change (of a URL: ETag) is another than the index says
    is walked through again; a change of a header while it is open is an error at the sample it concerns. decode: as for import_webdataset; "pil",
    "numpy" or "torch" is True, and pictures come decoded. The other options are import_webdataset's.

    UnsupportedError: packed tars and sparse members, which cannot be read at random. CorruptError, TruncatedError: damage, with its byte.
    """
    names = tuple(name if tars.is_stream(name) else os.path.abspath(name) for name in expand(sources))
    if tars.STDIN in names:
        raise UnsupportedError("standard input cannot be read at random; save it to a file, or import_webdataset it")
    chosen = None if fields is None else tuple(fields)
    rules = Rules(interleaved=interleaved, duplicates=duplicates, keep_case=keep_case, encoding=encoding)
    pictures = decode if isinstance(decode, str) else None
    if pictures is not None:
        need_pictures(pictures)
    values = decode if isinstance(decode, bool) else True if isinstance(decode, str) else tuple(decode)
    opening = Opening(names, rules, None if index is None else Path(index), chosen, values, pictures)
    return TarDataset(Opened(opening, progress))


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
            raise SchemaError(f"{opening.names[0]}: no tar has a .{plain(min(unknown))}; the fields are {', '.join(map(plain, every))}")
        self.converts = tars.converters(self.fields, opening.decode, opening.pictures)
        # for each tar, which of its fields stands at each place of an example, -1: none
        self.columns = [[(name, one.fields.index(name) if name in one.fields else -1) for name in self.fields] for one in self.indexes]
        self.files = Files()

    def example(self, row: int) -> dict[str, object]:
        number = bisect_right(self.starts, row) - 1
        rows = self.indexes[number].rows
        assert rows is not None
        entry = rows[row - self.starts[number]]
        key, members = entry["key"], entry["members"].tolist()
        name, columns = self.opening.names[number], self.columns[number]
        wanted = [(field, members[k]) for field, k in columns if k >= 0 and members[k][0] >= 0]
        example: dict[str, object] = dict.fromkeys((KEY, *self.fields))
        example[KEY] = key
        for field, data in self.files.read(name, wanted, self.indexes[number].version[0]):
            convert = self.converts.get(field)
            example[field] = data if convert is None else convert(data, f"{name}: {plain(key)}.{plain(field)}")
        return example


class Files:
    """The tars that are open, the least recently used closed first. Safe in threads (a file is closed when no one reads it) and after a fork."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str, members: list[tuple[str, list[int]]], total: int) -> Iterator[tuple[str, bytes]]:
        """(field, bytes) of members [start, size, crc]; each header is compared with the one that was indexed. total: bytes of the tar then."""
        if not members:
            return
        file = self._files.get(name) or self._open(name)
        first = min(start for _, (start, _, _) in members) - BLOCK
        end = max(start + size for _, (start, size, _) in members)
        if first < 0 or end > total or min(size for _, (_, size, _) in members) < 0:  # the file of the index may come from anywhere
            raise CorruptError(f"{name}: its index is damaged: it names bytes {first} to {end} of {total:,}; delete the index, and it is made anew")
        if end - first <= NEAR or is_remote(name):
            data = read_all(file, name, first, end - first)
            for field, (start, size, crc) in members:
                check(name, start, data[start - BLOCK - first : start - first], crc)
                yield field, data[start - first : start - first + size]
            return
        for field, (start, size, crc) in members:
            check(name, start, read_all(file, name, start - BLOCK, BLOCK), crc)
            yield field, read_all(file, name, start, size)

    def _open(self, name: str) -> Any:
        with self._lock:
            file = self._files[name] = look_up(name) if is_remote(name) else open(name, "rb", buffering=0)  # noqa: SIM115
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)
            return file


def read_all(file: Any, name: str, start: int, size: int) -> bytes:
    if not hasattr(file, "fileno"):
        return bytes(file.read(start, size))
    data = os.pread(file.fileno(), size, start)
    while len(data) < size:  # a read may be cut at 2 GiB or by a signal
        more = os.pread(file.fileno(), size - len(data), start + len(data))
        if not more:
            raise TruncatedError(f"{name}: byte {start + len(data)}: the file ends at or before this byte; it was cut after it was opened: open it again")
        data += more
    return data


def check(name: str, start: int, header: bytes, crc: int) -> None:
    if zlib.crc32(header) != crc:
        raise CorruptError(
            f"{name}: byte {start - BLOCK}: another header than when the tar was indexed; it was changed meanwhile: open it again, or delete its index"
        )


class TarDataset:
    """Samples of tars: ds[i], ds[10:20], ds[[3, 1]], ds[mask], len, iteration. An example is a dict: __key__, and each field's value or None.

    Safe in threads, and in processes started by fork, forkserver or spawn; pickles small: another process opens it again.
    """

    def __init__(self, opened: Opened, rows: range | np.ndarray | None = None) -> None:
        self._opened = opened
        self._rows = range(opened.starts[-1]) if rows is None else rows

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an example, without __key__."""
        return self._opened.fields

    @property
    def tars(self) -> tuple[str, ...]:
        """The files, in order."""
        return self._opened.opening.names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, bool) and hasattr(key, "__index__") and getattr(key, "ndim", 0) == 0:
            place = operator.index(key)
            if not -len(self) <= place < len(self):
                raise IndexError(f"row {place} is out of range for {len(self)} rows")
            return self._opened.example(int(self._rows[place]))
        return TarDataset(self._opened, compose(self._rows, key))

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, object]]:
        """The examples at several positions: what torch's DataLoader asks for."""
        rows = compose(self._rows, positions(indices, len(self)))
        return [self._opened.example(row) for row in np.asarray(rows).tolist()]

    def __iter__(self) -> Iterator[dict[str, object]]:
        for row in self._rows:
            yield self._opened.example(int(row))

    def __reduce__(self) -> tuple[Any, ...]:
        whole = isinstance(self._rows, range) and self._rows == range(self._opened.starts[-1])
        return reopen, (self._opened.opening, self._opened.versions, None if whole else self._rows)

    def __repr__(self) -> str:
        return f"TarDataset({len(self):,} samples of {len(self.tars):,} tars, fields {', '.join(self.fields)})"


def reopen(opening: Opening, versions: list[Version], rows: range | np.ndarray | None) -> TarDataset:
    """In another process; rows are only those of the tars as they were."""
    opened = Opened(opening)
    for name, then, now in zip(opening.names, versions, opened.versions, strict=True):
        if then != now:
            raise CorruptError(f"{name}: another size or time of change than when it was first opened; it was changed meanwhile: open it again")
    return TarDataset(opened, rows)
