"""Spans: memory as large as a file. The kernel fills a mapped one; an anonymous one is filled by fill() before its bytes are used.

Neither keeps a descriptor of its own: a dataset may have any number of files.
"""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

from atlas_ds._core.base import Mapping
from atlas_ds.errors import DatasetChanged
from atlas_ds.store.descriptors import ReadFile, open_to_read


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


class AnonymousSpan:
    """Memory as long as the file, empty until fill() reads a range into it; release() returns pages to the system."""

    __slots__ = ("_file", "memory", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = ReadFile(path)
        self.size = self._file.size
        try:
            self.memory = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))
        except OSError as error:
            raise not_mapped(error, path) from None

    def fill(self, offset: int, size: int) -> None:
        """Reads [offset, offset + size) from the file."""
        view = memoryview(self.memory)[offset : offset + size]
        while len(view):
            done = self._file.read_into(view, offset)
            if done == 0:
                was = f"it was {self.size} bytes long when it was opened"
                raise DatasetChanged(f"{self.path}: the file ends at byte {offset}, {was}; it was truncated or replaced: open the dataset again")
            offset += done
            view = view[done:]

    def release(self, offset: int, size: int) -> None:
        """Returns the pages that lie entirely inside the range to the system; they read as zero afterwards."""
        start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start:
            self.memory.madvise(mmap.MADV_DONTNEED, start, end - start)
