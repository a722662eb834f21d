"""Files on a local disk: written under a temporary name, synced to disk, then renamed into place. A half-written file is never visible."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from atlas_ds.errors import AtlasError, CorruptError
from atlas_ds.store.regular import is_folder, open_regular
from atlas_ds.store.store import Bytes, FileInfo
from atlas_ds.store.temporary import temporary_name

WRITE_BUFFER_BYTES = 1 << 20  # that are collected for one call of writev
MAX_BUFFERS = 256  # of one call of writev: IOV_MAX is 1,024
WRITEBACK_BYTES = 8 << 20  # after which the system is asked to start writing to disk, so that fsync has less to wait for
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
STEPS = (1, 1_000, 1_000_000, 2_000_000_000)  # nanoseconds: the coarsest file system keeps every other second
LIBC = ctypes.CDLL(None)
CURES = {
    errno.ENOSPC: "the disk is full: make room there, or write elsewhere",
    errno.EDQUOT: "your quota there is used up: make room, or write elsewhere",
    errno.EMFILE: "this process has too many files open: close some, or raise the limit (`ulimit -n`)",
    errno.ENFILE: "the system has too many files open: close some",
    errno.ENOMEM: "no memory is left for it: close other programs, or raise vm.max_map_count if very many files are mapped",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to read or write there: change its permissions, or choose another folder",
}


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Adds the path, and what to do, to the system's errors; their type does not change."""
    try:
        yield
    except OSError as error:
        explain(error, path)
        raise


def explain(error: OSError, path: Path) -> None:
    if error.errno is None:
        return
    if error.filename is None:
        error.filename = str(path)
    cure = CURES.get(error.errno)
    if cure is not None and cure not in str(error.strerror):
        reword(error, f"{error.strerror}: {cure}")


def reword(error: OSError, words: str) -> None:
    """Replaces the text of a system error, whose type and number do not change, even when it is pickled."""
    error.strerror = words
    error.args = (error.errno, words)


class NewFile:
    """A file that has no name yet: write, then publish or discard. It is discarded when a write or fsync fails.

    After that every call fails, because another file may have its temporary name.
    """

    __slots__ = ("_fd", "_folder", "_queue", "_queued", "_state", "_writeback", "path", "size")

    def __init__(self, folder: Path, label: str, mark: str | None = None) -> None:
        """mark: identifies the owner of the file in its temporary name; None: this process."""
        self._folder = folder
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
        self._begin(path, 0)

    def _begin(self, path: Path, size: int) -> None:
        self.path = path
        self._state = "open"  # then "finished", "published" or "discarded"
        self.size = size
        self._queue: list[memoryview] = []
        self._queued = 0
        self._writeback = size  # bytes whose writeback was started

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
        if not self._queue:
            return
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

    def stamp(self) -> None:
        """Sets the time of modification to the nanosecond, where the system sets it a few milliseconds too early, for several files the same."""
        self._flush()
        with contextlib.suppress(OSError):  # a file system that does not allow it
            os.utime(self._fd, ns=(now := time.time_ns(), now))

    def publish(self, name: str) -> Future[FileInfo]:
        """Fsyncs, then atomically renames, replacing an existing file. The name is synced to disk, too, when this returns."""
        target = self._folder / name
        self.finish()
        with explained(target):
            inner = make_folders(self._folder, target.parent)
            outdate(target, self.path)
            os.replace(self.path, target)
        self._state = "published"
        sync_folder(target.parent)
        for folder in inner:
            sync_folder(folder)
        return completed(file_info(name, os.stat(target)))

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


class PartialFile(NewFile):
    """A new file that grows over several processes: it is opened at its end, and keeps its bytes when it is discarded or a write fails.

    at_most: if it is larger, it cannot be the beginning of what is wanted, and is emptied.
    """

    __slots__ = ()

    def __init__(self, folder: Path, label: str, mark: str, at_most: int) -> None:
        self._folder = folder
        path = folder / temporary_name(label, mark=mark)
        with explained(path):
            self._fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            if os.fstat(self._fd).st_size > at_most:
                os.ftruncate(self._fd, 0)
        self._begin(path, os.fstat(self._fd).st_size)

    def write(self, data: Bytes) -> None:
        """Appends data at once, so that it is not lost if this process is killed."""
        super().write(data)
        self._flush()

    def discard(self) -> None:
        """Closes the file, unless it is published."""
        if self._state != "published":
            self._state = "discarded"
            self._queue.clear()
            self._close()

    def empty(self) -> None:
        """Discards the file, and its bytes."""
        self.discard()
        with explained(self.path):
            os.truncate(self.path, 0)


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


def file_info(name: str, found: os.stat_result) -> FileInfo:
    """The version is size and time of modification: inode numbers change on overlays, and when files are copied back."""
    return FileInfo(name, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def completed(found: FileInfo) -> Future[FileInfo]:
    """A future that has its result."""
    future: Future[FileInfo] = Future()
    future.set_result(found)
    return future


def outdate(old: Path, new: Path) -> None:
    """Makes a file later than the one that it will replace, so that its version is another one even if the clock has not moved on."""
    try:
        before = os.stat(old).st_mtime_ns
    except FileNotFoundError:
        return
    for step in STEPS:
        found = os.stat(new)
        if found.st_mtime_ns > before:
            return
        with contextlib.suppress(OSError):  # a file system that does not allow it
            os.utime(new, ns=(found.st_atime_ns, before + step))


def make_folders(root: Path, folder: Path) -> list[Path]:
    """Makes a folder below the root. Returns those whose content may have changed by that."""
    if folder == root:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [root / above for above in list(folder.relative_to(root).parents)]


def refuse_link(folder: Path) -> None:
    """CorruptError if a folder is a link, which would lead a writer elsewhere, or a file."""
    if os.path.lexists(folder) and not is_folder(folder):
        raise CorruptError(f"{folder}: is not a folder but a link or a file, which no writer of parts made: move it away")


def write_file(folder: Path, name: str, data: Bytes, mark: str | None = None) -> FileInfo:
    """Writes a file atomically. mark: see NewFile."""
    file = NewFile(folder, name, mark)
    try:
        file.write(data)
        file.stamp()
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


def refuse_overlap(src: Path, dst: Path) -> None:
    """AtlasError if writing dst would overwrite src, or files in it."""
    source, target = Path(os.path.realpath(src)), Path(os.path.realpath(dst))  # Path.resolve() raises for a link to itself
    if source == target:
        raise AtlasError(f"{dst}: source and destination are the same; write to another folder")
    if source.is_dir() and target.is_relative_to(source):
        raise AtlasError(f"{dst}: is inside the source {src}; write to another folder")
    if source.is_relative_to(target):
        raise AtlasError(f"{dst}: contains the source {src}, which overwriting could delete; write to another folder")
