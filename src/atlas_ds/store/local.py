"""The files of a folder of this machine as a store. What is done with single files is in files.py, regular.py, descriptors.py and lock.py."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from types import EllipsisType
from typing import cast

from atlas_ds.errors import AtlasError, CommitConflict, DatasetChanged, TruncatedError
from atlas_ds.store.descriptors import ReadFile, open_to_read, with_room
from atlas_ds.store.files import NewFile, PartialFile, explained, file_info, link_file, refuse_link, write_all
from atlas_ds.store.lock import flock_spans_machines, is_flocked, is_lock, locked, remove_if_empty, try_flock
from atlas_ds.store.paths import local_path
from atlas_ds.store.regular import is_folder, is_regular, not_regular, read_with_stat, remove_regular
from atlas_ds.store.store import Bytes, FileInfo, Store, Want, checked_name, conflict, is_store
from atlas_ds.store.temporary import TEMPORARY, is_temporary, temporary_name, temporary_of


def open_store(given: str | os.PathLike[str] | Store, what: str = "path") -> Store:
    """The store that a user named: a path of this machine, or a Store, which is returned as it is. what: the argument, for errors."""
    return given if is_store(given) else LocalStore(local_path(cast("str | os.PathLike[str]", given), what))


class LocalStore:
    """See store.py for what each method promises. Links to files are followed when reading; links to folders are neither listed nor entered."""

    far = False

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(folder))
        self.folder: Path | None = self.root
        self.url = str(self.root)
        self._files: dict[str, dict[str, ReadFile]] = {}  # by name and version; few of them keep a descriptor

    def __reduce__(self) -> tuple[type[LocalStore], tuple[str]]:
        return LocalStore, (self.url,)

    def __repr__(self) -> str:
        return f"LocalStore({self.url!r})"

    def _path(self, name: str) -> Path:
        return self.root / checked_name(name)

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        path = self._path(name)
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise not_regular(path, found.st_mode)
        return file_info(name, found)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        folder = prefix.rpartition("/")[0]
        if folder:
            checked_name(folder)
        return self._list(folder + "/" if folder else "", prefix)

    def _list(self, inner: str, prefix: str) -> Iterator[FileInfo]:
        for name, entry in sorted(self._scan(inner), key=lambda found: found[0]):
            whole = inner + name
            if name.endswith("/"):
                if whole.startswith(prefix) or prefix.startswith(whole):
                    yield from self._list(whole, prefix)
            elif whole.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):  # it was removed, or is a link to nothing
                    if entry.is_file():
                        yield file_info(whole, entry.stat())

    def _scan(self, inner: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What is in a folder, by name; with "/" after the names of folders."""
        try:
            with os.scandir(self.root / inner) as entries:
                found = [*entries]
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in found:
            if not is_temporary(entry.name) and not is_lock(entry.name):
                yield entry.name + "/" * entry.is_dir(follow_symlinks=False), entry

    def entries(self) -> Iterator[str]:
        return (name for name, _ in self._scan())

    def is_plain(self, name: str, size: int | None = None) -> bool:
        return is_regular(self._path(name), size)

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        path = self._path(name)
        data, found = with_room(lambda: read_with_stat(path, limit, follow=follow), path)
        return data, file_info(name, found).version

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        path = self._path(name)
        fd = open_to_read(path)
        try:
            found = file_info(name, os.fstat(fd))
            size = min(size, found.size)
            with explained(path):
                data = os.pread(fd, size, found.size - size)
        finally:
            os.close(fd)
        if len(data) != size:
            raise DatasetChanged(f"{path}: byte {found.size - size}: {size:,} bytes were asked for, {len(data):,} came; it was truncated: read it again")
        return data, found

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            try:
                yield number, self._file(want).read(want.offset, want.size)
            except (OSError, AtlasError) as error:
                yield number, error

    def _file(self, want: Want) -> ReadFile:
        """The version of a file is looked at when it is opened; after that its descriptor says which it is, or its last bytes do."""
        file = self._files.get(want.name, {}).get(want.version)
        if file is None:
            path = self._path(want.name)
            try:
                file = ReadFile(path)
            except ValueError as cause:
                if isinstance(cause, AtlasError):
                    raise
                raise TruncatedError(f"{path}: the file is empty (byte 0)") from None
            if want.version:
                if file_info(want.name, file.seen).version != want.version:
                    raise DatasetChanged(f"{path}: was replaced by another file after it was opened; open the dataset again")
                self._files.setdefault(want.name, {})[want.version] = file
        return file

    def forget(self, name: str) -> None:
        """Opens a file again before it is read again: its name is another one's now."""
        self._files.pop(name, None)

    def stream(self, name: str) -> io.BufferedReader:
        return open(open_to_read(self._path(name)), "rb")

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> LocalFile:
        return LocalFile(self, label, mark)

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        path = self._path(name)
        with self.lock() if expected is not ... else contextlib.nullcontext():
            if expected is not ...:
                self._expect(name, expected)
            file = self.new_file(path.name, mark)
            try:
                file.write(data)
                file.stamp()
                return file.publish(name).result().version
            except BaseException:
                file.discard()
                raise

    def _expect(self, name: str, expected: str | None) -> None:
        try:
            now = self.info(name).version
        except FileNotFoundError:
            now = None
        if now != expected:
            raise CommitConflict(conflict(str(self.root / name), now, expected))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self._path(name)
            self.forget(name)
            if not is_folder(path):
                with explained(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(path)

    def copy(self, name: str, to: str) -> None:
        target = self._path(to)
        self.forget(to)
        link_file(self._path(name), target)

    # --- several writers ---

    def create(self) -> bool:
        if self.root.is_file():
            raise FileExistsError(f"{self.root} is a file; a dataset is a folder")
        made = not self.root.exists()
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        return made

    def remove_if_empty(self) -> None:
        remove_if_empty(self.root)

    def lock(self) -> AbstractContextManager[None]:
        return locked(self.root)

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> LocalLog:
        return LocalLog(self._path(name), begin, mark)

    def is_held(self, name: str) -> bool | None:
        return is_flocked(self._path(name))

    def sees_every_holder(self) -> bool:
        return flock_spans_machines(self.root)

    def unfinished(self) -> Iterator[FileInfo]:
        for path in sorted(self.root.glob(f"{TEMPORARY}*")):
            with contextlib.suppress(FileNotFoundError):
                if is_regular(path):
                    yield file_info(path.name, os.lstat(path))

    def remove_unfinished(self, mark: str, but: Iterable[str] = ()) -> None:
        """but: labels of partial files that stay."""
        kept = {temporary_name(label, mark=mark) for label in but}
        for path in temporary_of(self.root, mark):
            if path.name not in kept:
                remove_regular(path)

    def partial_file(self, label: str, mark: str, at_most: int) -> PartialFile:
        """A new file that the next one of this label and mark continues, also in another process."""
        return PartialFile(self.root, label, mark, at_most)

    def partial_size(self, label: str, mark: str, at_most: int) -> int:
        """With how many bytes partial_file begins."""
        path = self.root / temporary_name(label, mark=mark)
        size = os.lstat(path).st_size if is_regular(path) else 0
        return size if size <= at_most else 0

    def inside(self, prefix: str) -> LocalStore:
        folder = self.root
        for part in checked_name(prefix).split("/"):
            folder = folder / part
            refuse_link(folder)
        return LocalStore(folder)


class LocalFile(NewFile):
    """A new file of a store, which does not go on reading the one that had its name."""

    __slots__ = ("_store",)

    def __init__(self, store: LocalStore, label: str, mark: str | None) -> None:
        self._store = store
        super().__init__(store.root, label, mark)

    def publish(self, name: str) -> Future[FileInfo]:
        done = super().publish(checked_name(name))
        self._store.forget(name)
        return done


class LocalLog:
    """A log whose holder has its flock, where the file system has one."""

    def __init__(self, path: Path, begin: Callable[[bool], bytes], mark: str) -> None:
        self._path = path
        step = path.with_name(temporary_name("journal", mark=mark))
        step.unlink(missing_ok=True)  # of a writer that was stopped here, or a link
        with explained(path):
            self._fd = os.open(step, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            data = begin(try_flock(self._fd) is not None)
            with explained(path):
                write_all(self._fd, [memoryview(data)], step)
                if os.path.lexists(path):
                    os.fsync(self._fd)
                os.replace(step, path)
        except BaseException:
            self.close()
            step.unlink(missing_ok=True)
            raise

    def append(self, data: bytes) -> None:
        with explained(self._path):
            write_all(self._fd, [memoryview(data)], self._path)

    def sync(self) -> None:
        with explained(self._path):
            os.fsync(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:  # of a writer whose constructor was interrupted
        if getattr(self, "_fd", -1) >= 0:
            self.close()
