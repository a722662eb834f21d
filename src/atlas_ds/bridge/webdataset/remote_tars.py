"""Tars at URLs, read in place. A sample is a block of a span, from the header of its first wanted member to the end of its last; blocks are fetched
together, and kept in the cache, as those of shards are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import hash128
from atlas_ds._tar import header_hash
from atlas_ds.bridge.tar.checksum import BLOCK
from atlas_ds.bridge.webdataset.index import TarIndex, removed
from atlas_ds.bridge.webdataset.samples import KEY
from atlas_ds.forks import Lock
from atlas_ds.store.file_url import FileUrl
from atlas_ds.store.filling import Filling
from atlas_ds.store.keeping import Hold
from atlas_ds.store.mirror import MirrorFailed
from atlas_ds.store.requests import Block
from atlas_ds.store.span import Span
from atlas_ds.store.store import FileInfo

MAX_OPEN = 4096  # tars: each takes up to two of the 65,530 mappings that the system has for a process
NEAR = 4096  # bytes between two samples that are fetched with the first
ROWS = 4096  # of an index, read at a time
Wrong = tuple[int, str]  # byte, and the kind of error
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RemoteTar:
    """An open tar. columns: the wanted fields, and where each is among the members. span: None where samples overlap (members of several are
    interleaved): then each is a request of its own."""

    name: FileUrl
    index: TarIndex
    columns: tuple[tuple[str, int], ...]
    filling: Filling
    span: Span | None

    def sample(self, empty: dict[str, object], k: int) -> dict[str, object] | Wrong:
        """Like TarReader.sample. DatasetChanged if the tar has another version now."""
        assert self.index.rows is not None
        row = self.index.rows[k]
        sample = empty | {KEY: row["key"]}
        members = row["members"].tolist()
        wanted = [(field, *members[column]) for field, column in self.columns if members[column][0] >= 0]
        if not wanted:
            return sample
        total = self.index.version.size
        for _, start, size, _ in wanted:
            if start < BLOCK or size < 0 or start + size > total:
                return start, "index"
        first = min(start for _, start, _, _ in wanted) - BLOCK
        data = self._read(k, first, max(start + size for _, start, size, _ in wanted) - first)
        for field, start, size, hashed in wanted:
            place = start - first
            if header_hash(data[place - BLOCK : place]) != hashed:
                return start - BLOCK, "header"
            sample[field] = data[place : place + size]
        return sample

    def _read(self, k: int, first: int, size: int) -> bytes:
        if self.span is not None:
            return self.filling.read(Block(self.span, k))
        try:
            return self.name.read(first, size, str(self.index.version.changed))
        except FileNotFoundError:
            raise removed(self.name) from None

    def block(self, k: int) -> Block | None:
        """The block of a sample; None: it has none."""
        return None if self.span is None or self.span.range_of(k)[1] == 0 else Block(self.span, k)


class RemoteTars:
    """The tars of a dataset that are at URLs; each is opened when it is first needed, and the last MAX_OPEN stay open."""

    def __init__(self, names: Sequence[str], indexes: Sequence[TarIndex], fields: Sequence[str], filling: Filling) -> None:
        self._names, self._indexes, self._fields, self.filling = names, indexes, fields, filling
        self._open: OrderedDict[int, RemoteTar] = OrderedDict()
        self._lock = Lock()

    def open(self, number: int) -> RemoteTar:
        with self._lock.held:
            found = self._open.get(number)
            if found is None:
                found = self._open[number] = self._opened(number)
                if len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
            return found

    def _opened(self, number: int) -> RemoteTar:
        name, index = self._names[number], self._indexes[number]
        assert isinstance(name, FileUrl)
        columns = tuple((field, index.fields.index(field)) for field in self._fields if field in index.fields)
        return RemoteTar(name, index, columns, self.filling, make_span(name, index, [column for _, column in columns], self.filling))

    def ask(self, numbers: Int64s, rows: Int64s, *, ahead: bool) -> Hold[Block]:
        """Makes samples present, each a row of the tar of a number; they stay until the exit() of what is returned. ahead: of a reader, who asks for
        them again: so hits are counted only here."""
        blocks: dict[Block, None] = {}
        for number, k in zip(numbers.tolist(), rows.tolist(), strict=True):
            if isinstance(self._names[number], FileUrl) and (block := self.open(number).block(k)) is not None:
                blocks[block] = None
        there = [block.span.has(block.number) for block in blocks]
        if ahead:
            self.filling.requests.traffic.found(sum(there))
        return self.filling.enter([block for block, has in zip(blocks, there, strict=True) if block.span.mirror is None or not has])  # a mirror holds its own


def make_span(name: FileUrl, index: TarIndex, columns: list[int], filling: Filling) -> Span | None:
    """The span of a tar, with a block for each sample; None where they overlap. Tars have no hashes, so a strong ETag has to tell one from another
    that had its name: without one, blocks are kept in memory only."""
    found = blocks_of(index, columns)
    if found is None:
        return None
    starts, sizes = found
    tag = str(index.version.changed)
    info = FileInfo(name.name, index.version.size, tag)
    version = f"{tag} {hash128(starts.tobytes() + sizes.tobytes()).hex()}" if tag.startswith('"') else ""  # other fields are other blocks
    try:
        return divided(name, info, version, starts, sizes, filling)
    except MirrorFailed:  # its map was damaged
        return divided(name, info, "", starts, sizes, filling)


def divided(name: FileUrl, info: FileInfo, version: str, starts: Int64s, sizes: Int64s, filling: Filling) -> Span:
    shown = str(name)  # `explain` may not keep more of it: a span may outlive the dataset

    def explain(error: Exception) -> Exception:
        return removed(shown) if isinstance(error, FileNotFoundError) else error

    span = filling.span(name.store, info, shown, explain, version, len(starts), hashed=True)
    span.divide(starts, sizes)
    return span


def blocks_of(index: TarIndex, columns: list[int]) -> tuple[Int64s, Int64s] | None:
    """Where blocks begin, and their bytes; None if they overlap.

    First there is one for each sample, empty if nothing of it is wanted, or if the index is wrong there. Others follow for what lies between them;
    nobody asks for these, and pages that a sample shares with them can go with it.
    """
    rows, size = index.rows, index.version.size
    assert rows is not None
    parts = [extents(rows.batch(slice(at, at + ROWS), ["members"])["members"][:, columns], size) for at in range(0, len(rows), ROWS)]
    starts, ends = (np.concatenate(found) for found in zip(*parts, strict=True))
    order = np.argsort(starts, kind="stable")
    order = order[starts[order] < ends[order]]
    begin, end = starts[order][1:], ends[order][:-1]
    if (begin < end).any():
        return None
    near = begin - end <= NEAR
    ends[order[:-1][near]] = begin[near]
    starts, ends = np.concatenate([starts, end[~near]]), np.concatenate([ends, begin[~near]])
    return starts, ends - starts


def extents(members: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """Where each sample begins and ends, with its first header; both are 0 where nothing is wanted, or some member is outside the tar."""
    start, length = members[..., 0], members[..., 1]
    there = start >= 0
    valid = (start >= BLOCK) & (length >= 0) & (length <= size) & (start <= size - length)
    good = there.any(axis=1) & (valid | ~there).all(axis=1)
    first = np.where(there, start, size).min(axis=1, initial=size) - BLOCK
    last = np.where(there, start + length, 0).max(axis=1, initial=0)
    return np.where(good, first, 0), np.where(good, last, 0)
