"""Files opened for reading, few of which keep a descriptor: a process may have 1,024 (ulimit -n), and a dataset has any number of files.

There are no locks: each operation on the table of open descriptors is one atomic call, so a fork at any moment leaves a consistent table.
"""

from __future__ import annotations

import errno
import itertools
import os
import resource
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from atlas_ds.errors import DatasetChanged
from atlas_ds.store.regular import open_regular

MAX_OPEN = 64
MIN_OPEN = 4
END_BYTES = 64  # at the end of a file, which distinguish it from another one
FULL = (errno.EMFILE, errno.ENFILE)
T = TypeVar("T")


class Cache(Protocol):
    """Something that keeps descriptors open and can close them when they are needed elsewhere."""

    def close_all(self) -> None: ...


class Descriptor:
    """An open descriptor. It is closed with its last reference, so that a reader keeps it while others make room."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.fd)


_open: OrderedDict[int, Descriptor] = OrderedDict()  # by the number of a ReadFile, the last used last
_numbers = itertools.count()
_caches: weakref.WeakSet[Any] = weakref.WeakSet()


def share(most: int, part: int) -> int:
    """How many descriptors may stay open: 1/part of the limit of the process, and at most `most`."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else min(most, max(MIN_OPEN, soft // part))


def add_cache(cache: Cache) -> None:
    """Registers a cache that is emptied when the process has no descriptor left."""
    _caches.add(cache)


def close_all() -> None:
    """Closes every descriptor that is kept only for later use."""
    _open.clear()
    for cache in list(_caches):
        cache.close_all()


def with_room(call: Callable[[], T], path: str | os.PathLike[str]) -> T:
    """Returns call(), which opens a file. If no descriptor is left, closes those that are kept only for later use and calls it once more."""
    try:
        return call()
    except OSError as error:
        if error.errno not in FULL:
            raise
    return once_more(call, path)


def once_more(call: Callable[[], T], path: str | os.PathLike[str]) -> T:
    """Returns call(), after as many descriptors as possible were closed."""
    close_all()
    try:
        return call()
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_descriptor(error, path) from None


def no_descriptor(error: OSError, path: str | os.PathLike[str]) -> OSError:
    cure = "raise the limit (ulimit -n), or close other files" if error.errno == errno.EMFILE else "raise the system's limit (sysctl fs.file-max)"
    return OSError(error.errno, f"cannot be opened: {os.strerror(error.errno or 0)}; {cure}", os.fspath(path))


def open_to_read(path: str | os.PathLike[str]) -> int:
    """A new descriptor of a regular file, which the caller closes. CorruptError for a pipe, a device or a folder."""
    try:
        return open_regular(path)
    except OSError as error:
        if error.errno not in FULL:
            raise
    return once_more(lambda: open_regular(path), path)


class ReadFile:
    """A file that is read at random. Its descriptor stays open while few others are in use, and is reopened by path when it is needed.

    DatasetChanged if the file is another one by then. ValueError if it is empty. seen: what the system says of the file.
    """

    __slots__ = ("__weakref__", "_end", "_most", "_number", "path", "seen", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = next(_numbers)
        self._most = share(MAX_OPEN, 8)
        found = Descriptor(open_to_read(path))
        self.seen = self._look(found)
        self.size = self.seen.st_size
        if self.size == 0:
            raise ValueError("empty")
        self._end = self._read_end(found)
        self._keep(found)

    def read(self, offset: int, size: int) -> bytearray:
        """A range of the file. DatasetChanged if it ends before."""
        data = bytearray(size)
        view = memoryview(data)
        while len(view):
            done = self.read_into(view, offset)
            if done == 0:
                was = f"it was {self.size} bytes long when it was opened"
                raise DatasetChanged(f"{self.path}: the file ends at byte {offset}, {was}; it was truncated or replaced: open the dataset again")
            offset += done
            view = view[done:]
        return data

    def read_into(self, view: memoryview, offset: int) -> int:
        """Reads once; returns the number of bytes read, 0 at the end of the file. OSError names the file, the byte and the cause."""
        held = _open.get(self._number)
        if held is None:
            held = self._open_again()
        else:
            try:
                _open.move_to_end(self._number)
            except KeyError:  # another thread has closed it to make room
                _open[self._number] = held
        try:
            return os.preadv(held.fd, [view], offset)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise self._failed(error, offset) from None
        held = self._open_again()  # a network file system forgot the descriptor: the file may still be there
        try:
            return os.preadv(held.fd, [view], offset)
        except OSError as error:
            raise self._failed(error, offset) from None

    def _open_again(self) -> Descriptor:
        held = Descriptor(open_to_read(self.path))
        seen = self._look(held)
        if seen.st_size != self.size:
            raise DatasetChanged(f"{self.path}: has {seen.st_size:,} bytes, and had {self.size:,} when it was opened; open the dataset again")
        if identity(seen) != identity(self.seen):
            if self._read_end(held) != self._end:
                raise DatasetChanged(f"{self.path}: was replaced by another file after it was opened; open the dataset again")
            self.seen = seen
        self._keep(held)
        return held

    def _look(self, held: Descriptor) -> os.stat_result:
        try:
            return os.fstat(held.fd)
        except OSError as error:
            raise self._failed(error, 0) from None

    def _read_end(self, held: Descriptor) -> bytes:
        place = max(0, self.size - END_BYTES)
        try:
            return os.pread(held.fd, END_BYTES, place)
        except OSError as error:
            raise self._failed(error, place) from None

    def _keep(self, held: Descriptor) -> None:
        _open[self._number] = held
        while len(_open) > self._most:
            try:
                _open.popitem(last=False)
            except KeyError:  # another thread emptied it
                return

    def _failed(self, error: OSError, offset: int) -> OSError:
        why = f"byte {offset}: cannot be read: {os.strerror(error.errno or 0)}; check the disk or the network, then read again"
        return OSError(error.errno, why, os.fspath(self.path))

    def __del__(self, table: OrderedDict[int, Descriptor] = _open) -> None:
        table.pop(self._number, None)


def identity(seen: os.stat_result) -> tuple[int, int, int]:
    return seen.st_dev, seen.st_ino, seen.st_mtime_ns
