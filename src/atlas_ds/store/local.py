"""LocalStore: the store of a folder of this machine. How one file is written is in local_file.py, how it is read at random in descriptors.py."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import EllipsisType

from atlas_ds.errors import CommitConflict, CorruptError, DatasetChanged, LimitError
from atlas_ds.store import lock
from atlas_ds.store.descriptors import ReadFile, open_to_read, with_room
from atlas_ds.store.local_file import LocalFile, link_file, make_folders, put_file
from atlas_ds.store.local_log import LocalLog
from atlas_ds.store.paths import local_path
from atlas_ds.store.regular import READ, NotRegular, is_folder, not_regular, open_regular, remove_regular, version_of
from atlas_ds.store.store import Bytes, FileInfo, Want, check_name
from atlas_ds.store.system_errors import explained
from atlas_ds.store.temporary import is_temporary, temporary_of


class LocalStore:
    """See store.Store. Links to files are read, and replaced or removed where they are written: what they lead to is never changed.

    Nothing is followed out of the folder by a link to a folder. A file keeps no descriptor while it is not used: any number can be read.
    """

    __slots__ = ("__weakref__", "_files", "folder", "url")

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = local_path(folder, "folder")
        self.url = str(self.folder)
        self._files: dict[str, ReadFile] = {}

    def __repr__(self) -> str:
        return f"LocalStore({self.url!r})"

    def __reduce__(self) -> tuple[type[LocalStore], tuple[str]]:
        return LocalStore, (self.url,)

    def _path(self, name: str) -> Path:
        return self.folder / check_name(name)

    # --- reading ---

    def info(self, name: str, *, follow: bool = True) -> FileInfo:
        path = self._path(name)
        seen = os.stat(path, follow_symlinks=follow)
        if not stat.S_ISREG(seen.st_mode):
            raise not_regular(path, seen.st_mode)
        return FileInfo(name, seen.st_size, version_of(seen))

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        inner = prefix.rpartition("/")[0]
        return self._walk(inner + "/" if inner else "", prefix)

    def _walk(self, inner: str, prefix: str) -> Iterator[FileInfo]:
        """The files in a subfolder, inner, whose names begin with prefix, and those below it."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder / inner) as entries:
            for entry in entries:
                is_inner = entry.is_dir(follow_symlinks=False)
                name = f"{inner}{entry.name}/" if is_inner else inner + entry.name
                if (name.startswith(prefix) or (is_inner and prefix.startswith(name))) and not is_hidden(entry.name):
                    found.append((name, is_inner))
        for name, is_inner in sorted(found):
            if is_inner:
                yield from self._walk(name, prefix)
                continue
            with suppress(FileNotFoundError, NotRegular):  # it was removed meanwhile, or is no file
                yield self.info(name)

    def entries(self) -> Iterator[str]:
        with suppress(FileNotFoundError):
            yield from sorted(name for name in os.listdir(self.folder) if not is_hidden(name))

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        path = self._path(name)
        fd = with_room(lambda: open_regular(path, READ if follow else READ | os.O_NOFOLLOW), path)
        try:
            seen = os.fstat(fd)
            if seen.st_size > limit:
                raise LimitError(f"{path}: has {seen.st_size:,} bytes, and at most {limit:,} are read")
            return read_range(fd, 0, seen.st_size), version_of(seen)
        finally:
            os.close(fd)

    def read_tail(self, name: str, size: int) -> tuple[bytes, FileInfo]:
        fd = open_to_read(self._path(name))
        try:
            seen = os.fstat(fd)
            size = min(size, seen.st_size)
            return read_range(fd, seen.st_size - size, size), FileInfo(name, seen.st_size, version_of(seen))
        finally:
            os.close(fd)

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            try:
                yield number, self._read_want(want)
            except Exception as error:
                yield number, error

    def _read_want(self, want: Want) -> Bytes:
        path = self._path(want.name)
        file = self._files.get(want.name)
        if want.version:
            now = version_of(os.stat(path))
            if now != want.version:
                raise DatasetChanged(f"{path}: is another file, or was changed, since it was opened; open the dataset again")
            if file is not None and file.version != now:
                file = None
        if not want.size:
            self.info(want.name)
            return b""
        if file is None:
            try:
                file = self._files[want.name] = ReadFile(path)
            except ValueError as error:
                if isinstance(error, CorruptError):
                    raise
                raise ended(path, 0, 0) from None
        data = bytearray(want.size)
        read_into(file, memoryview(data), want.offset)
        return data

    def stream(self, name: str) -> io.BufferedReader:
        return open(open_to_read(self._path(name)), "rb")

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> LocalFile:
        return LocalFile(self.folder, label, mark, self._forget)

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        check_name(name)
        with self.lock() if expected is not ... else nullcontext():
            if expected is not ... and self._version(name) != expected:
                raise CommitConflict(f"{self._path(name)}: another writer has changed it since it was read")
            return put_file(self.folder, name, data, mark, self._forget).version

    def _version(self, name: str) -> str | None:
        try:
            return self.info(name).version
        except FileNotFoundError:
            return None

    def _forget(self, name: str) -> None:
        """Reads of a name that this store replaces must not see the file that had it."""
        self._files.pop(name, None)

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._path(name)
            if not is_folder(path):
                with suppress(FileNotFoundError, NotADirectoryError):
                    path.unlink()
            self._forget(name)

    def copy(self, name: str, to: str) -> None:
        source, target = self._path(name), self._path(to)
        if "/" in to:
            make_folders(self.folder, to)
        link_file(source, target)
        self._forget(to)

    # --- several writers ---

    def create(self) -> bool:
        made = not self.folder.exists()
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        return made

    def remove_if_empty(self) -> None:
        lock.remove_if_empty(self.folder)

    def lock(self) -> AbstractContextManager[object]:
        return lock.locked(self.folder)

    def new_log(self, name: str, data: bytes, mark: str) -> LocalLog:
        return LocalLog(self._path(name), data, mark)

    def is_held(self, name: str, *, near: bool) -> bool | None:
        path = self._path(name)
        held = lock.is_flocked(path)
        return None if held is False and not near and not lock.flock_spans_machines(path) else held

    def remove_unfinished(self, mark: str) -> None:
        for path in temporary_of(self.folder, mark):
            remove_regular(path)

    def inside(self, prefix: str) -> LocalStore:
        folder = self.folder
        for part in check_name(prefix).split("/"):
            folder /= part
            if os.path.lexists(folder) and not is_folder(folder):
                raise CorruptError(f"{folder}: is not a folder but a link or a file, which no writer made: move it away")
        return LocalStore(folder)


def is_hidden(name: str) -> bool:
    """Whether a name is of an unfinished file, or of a lock."""
    return is_temporary(name) or lock.is_lock(name)


def read_range(fd: int, offset: int, size: int) -> bytes:
    """A range of an open file; less where the file ends."""
    pieces = []
    while size and (piece := os.pread(fd, size, offset)):
        pieces.append(piece)
        size -= len(piece)
        offset += len(piece)
    return b"".join(pieces)


def read_into(file: ReadFile, view: memoryview, offset: int) -> None:
    while len(view):
        done = file.read_into(view, offset)
        if done == 0:
            raise ended(file.path, offset, file.size)
        offset += done
        view = view[done:]


def ended(path: Path, offset: int, size: int) -> DatasetChanged:
    was = f"it was {size} bytes long when it was opened"
    return DatasetChanged(f"{path}: the file ends at byte {offset}, {was}; it was truncated or replaced: open the dataset again")
