"""Spans: memory as large as a file. The kernel fills a mapped one; the others are filled range by range, and know which blocks they have.

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

from atlas_ds._core.base import Pins, Region, States, copy_block
from atlas_ds.errors import StoreError
from atlas_ds.forks import Lock
from atlas_ds.store.descriptors import open_to_read
from atlas_ds.store.mirror import Mirror
from atlas_ds.store.store import Bytes, FileInfo, Store, Want

PATIENCE = 30.0  # seconds to wait for readers


def open_mapped(path: Path) -> Region:
    """Maps a file read-only; the kernel reads pages as they are touched. ValueError if it is empty."""
    fd = open_to_read(path)
    try:
        size = os.fstat(fd).st_size
        if size == 0:
            raise ValueError("empty")
        return Region(size, fd)
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


class Span:
    """Address space as long as a file of a store. Its blocks come and go: `states` says which of them are there.

    They lie in a mirror, a file that processes share and that its cache fills (cache.py); or else in memory of this process, where a forked child
    has its own copy of bytes and states. What lies outside the blocks (the ends of the file) is stored once and stays.

    explain: turns an error of the store into the one to raise.
    """

    __slots__ = ("__weakref__", "_check", "_ends", "_first", "_last", "_order", "_rank", "_show", "_shown", "_starts", "_stays", "_switching", "coming",
                 "explain", "file", "forget", "leaving", "memory", "mirror", "place", "size", "states", "store", "trusted")  # fmt: skip

    def __init__(
        self,
        store: Store,
        file: FileInfo,
        place: str,
        explain: Callable[[Exception], Exception] = lambda error: error,
        mirror: Mirror | None = None,
    ) -> None:
        self.store, self.file, self.place, self.explain, self.mirror = store, file, place, explain, mirror
        self.size = file.size
        if self.size == 0:
            raise ValueError("empty")
        try:
            self.memory = Region(self.size) if mirror is None else mirror.region()
        except OSError as error:
            raise not_mapped(error, Path(place)) from None
        self.states = States(0)
        self.coming: set[int] = set()  # blocks whose bytes may be stored any moment
        self.leaving: set[int] = set()  # blocks that are not present, and may be shown again as they are
        self._starts = self._ends = np.empty(0, np.int64)
        self._stays: list[tuple[int, int]] = []
        self.trusted = False  # whether bytes were taken from the mirror that nobody has looked at since it was made
        self._shown = self.states  # as readers find them
        self._check: Callable[[int], bool] | None = None
        self._show: Callable[[States], None] = lambda states: None
        self.forget: Callable[[int], None] = lambda number: None
        self._switching = Lock()

    def divide(
        self,
        offsets: Numbers,
        sizes: Numbers,
        check: Callable[[int], bool] | None = None,
        forget: Callable[[int], None] = lambda number: None,
        show: Callable[[States], None] = lambda states: None,
    ) -> None:
        """Names the blocks that come and go. check: whether the hashes of a block are right; None: the file has none, and its mirror keeps them. forget:
        what was known of it. show: tells the reader where it finds the states from now on."""
        self._starts, self._ends = offsets.astype(np.int64), offsets.astype(np.int64) + sizes
        self._order = np.argsort(self._starts, kind="stable")
        self._first, self._last = (int(self._starts.min()), int(self._ends.max())) if len(self._starts) else (0, 0)
        self._rank = np.empty_like(self._order)
        self._rank[self._order] = np.arange(len(self._order))
        self._check, self.forget, self._show = check, forget, show
        self.states = States(len(self._starts)) if self.mirror is None else self.mirror.divide(self._starts, self._ends)
        self.show(self.states)

    def show(self, states: States) -> None:
        """Readers find these states from now on."""
        self._shown = states
        self._show(states)

    def check(self, number: int) -> bool:
        """Whether the bytes of a block are right. Those of a file without hashes are, in memory that nobody else writes."""
        if self._check is not None:
            return self._check(number)
        start, size = self.range_of(number)
        mirror = self.mirror
        return mirror is None or mirror.is_right(number, memoryview(self.memory)[start : start + size])

    def has(self, number: int) -> bool:
        """Whether a reader finds a block at this moment."""
        return self._shown[number]

    def copy(self, number: int, pins: Pins) -> bytes | None:
        """The bytes of a block of a file without hashes, if they are there and right. Those that are wrong go, so that they are fetched again."""
        mirror = self.mirror  # first: if the span leaves it meanwhile, the bytes have another hash, or are the same
        data = copy_block(pins, self._shown, number, self.memory, *self.range_of(number))
        if data is None or mirror is None or mirror.is_right(number, data):
            return data
        if self.mirror is mirror:
            self.states.clear(number)
        return None

    def keep(self, offset: int, data: Bytes) -> None:
        """What lies outside the blocks is there, and stays. The bytes of a mirror are there already."""
        if self.mirror is None:
            self.memory.write(offset, data)
        self._stays.append((offset, memoryview(data).nbytes))

    def take_over(self, want: Want) -> bool:
        """Takes such bytes outside the blocks as its mirror has them; False if it does not."""
        found = self.mirror is not None and (want.offset, want.size) in self.mirror.stays()
        if found:
            self.trusted = True
            self._stays.append((want.offset, want.size))
        return found

    def move(self, mirror: Mirror | None, pins: Pins) -> None:
        """Leaves its mirror for another one, in which what stays is there already, or for memory of this process. Readers of this process that are
        inside are waited for; the others find no block meanwhile. StoreError if a reader stays inside."""
        with self._switching.held:
            if self.mirror is None:
                return
            count = len(self.states)
            states = States(count) if mirror is None else mirror.divide(self._starts, self._ends)
            self.show(States(count))
            if not pins.drained(PATIENCE):
                self.show(self.states)
                raise StoreError(f"{self.place}: the cache was removed or is full, and a thread has been reading a block there for {PATIENCE:g} s")
            if mirror is None:
                self.memory.show_memory(self.stays())
            else:
                mirror.show_in(self.memory)
            self.states, self.mirror = states, mirror
            for number in range(count):
                self.forget(number)
            self.show(states)

    def show_block(self, mirror: Mirror, number: int) -> None:
        """A block is there now, in this mirror, unless the span has left it meanwhile."""
        with self._switching.held:
            if self.mirror is mirror:
                self.states.set(number)

    def settled(self) -> Mirror | None:
        """Its mirror, after a move that is under way."""
        with self._switching.held:
            return self.mirror

    def let_go(self) -> None:
        """Lets the pages go that this process has looked at: those of a mirror are read again when needed."""
        with self._switching.held:
            if self.mirror is not None and self.memory.is_file:
                self.memory.let_go(0, self.size)

    def remove_mirror(self) -> None:
        """What its mirror has is not right."""
        if self.mirror is not None:
            self.mirror.remove()

    def stays(self) -> list[tuple[int, bytes]]:
        """Offset and bytes of what stays."""
        return [(offset, self.memory[offset : offset + size]) for offset, size in self._stays]

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
        self.memory.write(offset, data)

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
            self.memory.let_go(low, high)

    def _shares(self, neighbours: range, low: int, high: int) -> bool:
        """Whether a block whose bytes must stay, among the neighbours (nearest first; a page may hold many), overlaps the memory from low to high."""
        for rank in neighbours:
            number = int(self._order[rank])
            if self._starts[number] >= high or self._ends[number] <= low:
                return False
            if self.states[number] or number in self.coming or number in self.leaving:
                return True
        return False
