"""Spans: memory that stands for a whole file. A mapped one is filled by the kernel; an anonymous one by whoever needs its bytes."""

from __future__ import annotations

import mmap
import os
from pathlib import Path


def open_mapped(path: Path) -> mmap.mmap:
    """The file in memory, read-only; the kernel reads pages as they are touched."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size == 0:
            raise ValueError("empty")
        return mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
    finally:
        os.close(fd)


class AnonymousSpan:
    """Memory as long as the file, empty until fill() reads a range into it; release() gives whole pages back."""

    __slots__ = ("_fd", "memory", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size
        if self.size == 0:
            raise ValueError("empty")
        self.memory = mmap.mmap(-1, self.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0))

    def fill(self, offset: int, size: int) -> None:
        """Reads [offset, offset + size) from the file."""
        view = memoryview(self.memory)[offset : offset + size]
        while len(view):
            done = os.preadv(self._fd, [view], offset)
            if done == 0:
                raise OSError(f"{self.path}: the file ends at byte {offset}, it was {self.size} bytes long when it was opened")
            offset += done
            view = view[done:]

    def release(self, offset: int, size: int) -> None:
        """Gives the pages that lie wholly inside the range back to the system; they read as zero afterwards."""
        start = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start:
            self.memory.madvise(mmap.MADV_DONTNEED, start, end - start)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)
