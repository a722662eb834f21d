"""Files of a local disk: written under a temporary name, synced to disk, then renamed into place. A half-written file is never visible."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from atlas_ds.store.regular import version_of
from atlas_ds.store.store import Bytes, FileInfo, check_name
from atlas_ds.store.system_errors import explained
from atlas_ds.store.temporary import temporary_name

WRITE_BUFFER_BYTES = 1 << 20  # that are collected for one call of writev
MAX_BUFFERS = 256  # of one call of writev: IOV_MAX is 1,024
WRITEBACK_BYTES = 8 << 20  # after which the system is asked to start writing to disk, so that fsync has less to wait for
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
LIBC = ctypes.CDLL(None)
CLOCK_STEPS = (1, 1_000, 1_000_000, 1_000_000_000, 4_000_000_000)  # nanoseconds: file systems round times


class LocalFile:
    """The NewFile of a folder: write, then publish or discard. It is discarded when a write or fsync fails.

    After that every call fails, because another file may have its temporary name.
    """

    __slots__ = ("_fd", "_folder", "_queue", "_queued", "_renamed", "_state", "_writeback", "path", "size")

    def __init__(self, folder: Path, label: str, mark: str | None = None, renamed: Callable[[str], None] | None = None) -> None:
        """mark: identifies the owner of the file in its temporary name; None: this process. renamed: called with the name that it got."""
        self._folder, self._renamed = folder, renamed
        self._fd = -1
        for attempt in range(1000):
            path = folder / temporary_name(label, attempt, mark)
            try:
                with explained(path):
                    self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                break
            except FileExistsError:
                continue
            except KeyboardInterrupt:  # raised after the file was created: nothing else refers to it
                path.unlink(missing_ok=True)
                raise
        else:
            raise FileExistsError(f"{folder}: a thousand temporary files of this process already exist")
        self.path = path
        self._state = "open"  # then "finished", "published" or "discarded"
        self.size = 0
        self._queue: list[memoryview] = []
        self._queued = 0
        self._writeback = 0  # bytes whose writeback was started

    def write(self, data: Bytes) -> None:
        """Appends data, which must not be changed afterwards: small pieces are collected before they are written."""
        if self._state != "open":
            raise ValueError(f"{self.path}: is already {self._state}; cannot write")
        view = memoryview(data).cast("B")
        self._queue.append(view)
        self._queued += len(view)
        self.size += len(view)
        if self._queued >= WRITE_BUFFER_BYTES or len(self._queue) == MAX_BUFFERS:
            self._flush()

    def _flush(self) -> None:
        queue, self._queue, self._queued = self._queue, [], 0
        try:
            with explained(self.path):
                write_all(self._fd, queue, self.path)
        except BaseException:
            self.discard()  # how much of it was written is unknown
            raise
        if self.size - self._writeback >= WRITEBACK_BYTES:
            start_writeback(self._fd, self._writeback, self.size - self._writeback)
            self._writeback = self.size

    def finish(self) -> None:
        """Syncs the bytes to disk and closes the file, which keeps its temporary name until publish, perhaps much later."""
        if self._state == "finished":
            return
        if self._state != "open":
            raise ValueError(f"{self.path}: is already {self._state}; write the file again")
        try:
            self._flush()
            with explained(self.path):
                os.fsync(self._fd)
        except BaseException:
            self.discard()
            raise
        self._close()
        self._state = "finished"

    def publish(self, name: str) -> Future[FileInfo]:
        """Fsyncs, then atomically renames, replacing an existing file. name: may lie in subfolders, which are made."""
        target = self._folder / check_name(name)
        if self._state == "open":
            self._flush()
        if self._state in ("open", "finished"):
            self._be_newer_than(target)
        self.finish()
        seen = os.stat(self.path)
        if "/" in name:
            make_folders(self._folder, name)
        with explained(target):
            os.replace(self.path, target)
        self._state = "published"
        if self._renamed is not None:
            self._renamed(name)
        sync_folder(target.parent)
        done: Future[FileInfo] = Future()
        done.set_result(FileInfo(name, seen.st_size, version_of(seen)))
        return done

    def _be_newer_than(self, target: Path) -> None:
        """Moves the time of modification past that of the file that is replaced: two writes within one tick of the clock are two versions."""
        with contextlib.suppress(OSError):
            old = os.stat(target)
            own: Path | int = self._fd if self._fd >= 0 else self.path
            for step in CLOCK_STEPS:
                seen = os.stat(own)
                if seen.st_mtime_ns > old.st_mtime_ns:
                    break
                os.utime(own, ns=(seen.st_atime_ns, old.st_mtime_ns + step))

    def discard(self) -> None:
        """Removes the file, unless it is published."""
        if self._state in ("published", "discarded"):
            return
        self._state = "discarded"
        self._queue.clear()
        self._close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def write_all(fd: int, pieces: list[memoryview], path: Path) -> None:
    while pieces:
        done = os.writev(fd, pieces)
        if done == 0 and any(map(len, pieces)):
            raise OSError(f"{path}: the system wrote none of {sum(map(len, pieces))} bytes")
        while pieces and done >= len(pieces[0]):
            done -= len(pieces.pop(0))
        if done:
            pieces[0] = pieces[0][done:]


def start_writeback(fd: int, start: int, size: int) -> None:
    """Asks the system to write a range to disk, without waiting. It is only a hint: fsync reports errors."""
    call = getattr(LIBC, "sync_file_range", None)
    if call is not None:
        call(fd, ctypes.c_int64(start), ctypes.c_int64(size), ctypes.c_uint(SYNC_FILE_RANGE_WRITE))


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder to disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folders(root: Path, name: str) -> None:
    """Makes the folders between a root and a name below it, where they do not exist; their names are synced to disk."""
    made = root
    for part in name.split("/")[:-1]:
        parent, made = made, made / part
        with explained(made):
            try:
                made.mkdir()
            except FileExistsError:
                continue
        sync_folder(parent)


def write_file(folder: Path, name: str, data: Bytes, mark: str | None = None) -> Path:
    """Writes a file atomically. mark: see LocalFile."""
    put_file(folder, name, data, mark)
    return folder / name


def put_file(folder: Path, name: str, data: Bytes, mark: str | None = None, renamed: Callable[[str], None] | None = None) -> FileInfo:
    """As write_file; returns what the file is now. renamed: see LocalFile."""
    file = LocalFile(folder, name.rpartition("/")[2], mark, renamed)
    try:
        file.write(data)
        return file.publish(name).result()
    except BaseException:
        file.discard()
        raise


def link_file(source: Path, target: Path) -> None:
    """Atomically makes a hard link to a file, replacing an existing one."""
    step = target.with_name(temporary_name(target.name))
    with explained(target):
        step.unlink(missing_ok=True)
        os.link(source, step)
        os.replace(step, target)
        step.unlink(missing_ok=True)  # where both names are of one file already, replace does nothing
