"""Spans: memory as large as a file. The kernel fills a mapped one; one of anonymous memory is filled range by range, and knows which blocks it has.

Neither keeps a descriptor of its own: a dataset may have any number of files. Who asks the store for the ranges is in filling.py.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import Mapping, States
from atlas_ds.store.descriptors import open_to_read
from atlas_ds.store.store import Bytes, FileInfo, Store, Want


def open_mapped(path: Path) -> Mapping:
    """Maps a file read-only; the kernel reads pages as they are touched. ValueError if it is empty."""
    fd = open_to_read(path)
    try:
        size = os.fstat(fd).st_size
        if size == 0:
            raise ValueError("empty")
        return Mapping(fd, size)
    except OSError as error:
        raise not_mapped(error, path) from None
    finally:
        os.close(fd)


def not_mapped(error: OSError, path: Path) -> OSError:
    """The error with the file's name, and what to do."""
    cure = {
        errno.ENOMEM: "raise the limit of mappings (sysctl vm.max_map_count) or of address space (ulimit -v), or make fewer, larger shards",
        errno.ENODEV: 'this file system cannot map files: open the dataset with io="pread"',
    }.get(error.errno or 0, 'open the dataset with io="pread"')
    return OSError(error.errno, f"cannot be mapped into memory: {os.strerror(error.errno or 0)}; {cure}", os.fspath(path))


Numbers = npt.NDArray[np.integer[Any]]


class RamSpan:
    """Anonymous memory as long as a file of a store.

    What lies outside its blocks (the ends of the file) is stored once and stays. Blocks come and go: `states` says which of them are there. It
    has the same sharing as the memory: both are private to a process, and a forked child has its own copy of both.

    explain: turns an error of the store into the one to raise.
    """

    __slots__ = ("__weakref__", "_bytes", "_ends", "_first", "_last", "_order", "_rank", "_starts", "check", "coming", "explain", "file", "forget", "leaving",
                 "memory", "place", "size", "states", "store")  # fmt: skip

    def __init__(self, store: Store, file: FileInfo, place: str, explain: Callable[[Exception], Exception] = lambda error: error) -> None:
        self.store, self.file, self.place, self.explain = store, file, place, explain
        self.size = file.size
        if self.size == 0:
            raise ValueError("empty")
        try:
            self.memory = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))
        except OSError as error:
            raise not_mapped(error, Path(place)) from None
        self._bytes = np.frombuffer(self.memory, np.uint8)
        self.states = States(0)
        self.coming: set[int] = set()  # blocks whose bytes may be stored any moment
        self.leaving: set[int] = set()  # blocks that are not present, and may be shown again as they are

    def divide(self, offsets: Numbers, sizes: Numbers, check: Callable[[int], bool], forget: Callable[[int], None]) -> States:
        """Names the blocks that come and go; none is there yet. check: whether the hashes of a block are right. forget: what was known of it.

        Returns the states of the blocks, for the reader."""
        self._starts, self._ends = offsets.astype(np.int64), offsets.astype(np.int64) + sizes
        self._order = np.argsort(self._starts, kind="stable")
        self._first, self._last = (int(self._starts.min()), int(self._ends.max())) if len(self._starts) else (0, 0)
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(self._order))
        self.check, self.forget = check, forget
        self.states = States(len(self._starts))
        return self.states

    def want(self, offset: int, size: int) -> Want:
        """What to ask the store for."""
        return Want(self.file.name, offset, size, self.file.version)

    def range_of(self, number: int) -> tuple[int, int]:
        """Offset and size of a block."""
        start = int(self._starts[number])
        return start, int(self._ends[number]) - start

    def there(self) -> list[int]:
        """The blocks that are present."""
        return [number for number in range(len(self.states)) if self.states[number]]

    def store_bytes(self, offset: int, data: Bytes) -> None:
        """Puts bytes of the file into the memory. Readers do not look at a block before its state is set."""
        view = memoryview(data).cast("B")
        self._bytes[offset : offset + len(view)] = np.frombuffer(view, np.uint8)

    def give_back(self, number: int) -> None:
        """Returns the memory of a block, which is not present any more and which no reader is in, but for pages that others share."""
        self.forget(number)
        at, order = int(self._rank[number]), self._order
        start, end = int(self._starts[number]), int(self._ends[number])
        low, high = start // mmap.PAGESIZE * mmap.PAGESIZE, -(-end // mmap.PAGESIZE) * mmap.PAGESIZE
        if low < self._first or self._shares(range(at - 1, -1, -1), low, high):  # before the first block lies what stays
            low += mmap.PAGESIZE
        if high > self._last or self._shares(range(at + 1, len(order)), low, high):
            high -= mmap.PAGESIZE
        if low < high:
            self.memory.madvise(mmap.MADV_DONTNEED, low, high - low)

    def _shares(self, neighbours: range, low: int, high: int) -> bool:
        """Whether a block whose bytes must stay, among the neighbours (nearest first; a page may hold many), overlaps the memory from low to high."""
        for rank in neighbours:
            number = int(self._order[rank])
            if self._starts[number] >= high or self._ends[number] <= low:
                return False
            if self.states[number] or number in self.coming or number in self.leaving:
                return True
        return False
