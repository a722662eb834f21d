"""The files of a folder of this machine as a store. What is done with single files is in files.py, regular.py, descriptors.py and lock.py."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import EllipsisType

from atlas_ds.errors import AtlasError, CommitConflict, DatasetChanged
from atlas_ds.store.descriptors import ReadFile, with_room
from atlas_ds.store.files import NewFile, explained, link_file, sync_folder, write_all
from atlas_ds.store.lock import flock_spans_machines, is_flocked, is_lock, locked, remove_if_empty, try_flock
from atlas_ds.store.regular import is_folder, open_regular, read_all, remove_regular
from atlas_ds.store.store import Bytes, FileInfo, Want
from atlas_ds.store.temporary import is_temporary, temporary_name, temporary_of

STEPS = (1, 1_000, 1_000_000, 2_000_000_000)  # nanoseconds: the coarsest file system keeps every other second


class LocalStore:
    """See store.py for what each method promises. Links to files are followed when reading; links to folders are not."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(folder))
        self.folder: Path | None = self.root
        self.url = str(self.root)
        self._files: dict[tuple[str, str], ReadFile] = {}  # few of them keep a descriptor, see descriptors.py
        self._holder: int | None = None  # the thread that holds the lock

    def __reduce__(self) -> tuple[type[LocalStore], tuple[str]]:
        return LocalStore, (str(self.root),)

    def __repr__(self) -> str:
        return f"LocalStore({self.url!r})"

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        path = self.root / name
        fd = with_room(lambda: open_regular(path), path)
        try:
            return describe(name, os.fstat(fd))
        finally:
            os.close(fd)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        folder = prefix.rpartition("/")[0]
        yield from self._list(folder + "/" if folder else "", prefix)

    def _list(self, inner: str, prefix: str) -> Iterator[FileInfo]:
        try:
            found = list(os.scandir(self.root / inner))
        except (FileNotFoundError, NotADirectoryError):
            return
        for name, entry in sorted((entry.name + "/" * entry.is_dir(follow_symlinks=False), entry) for entry in found):
            whole = inner + name
            if not whole.startswith(prefix) and not prefix.startswith(whole):
                continue
            if name.endswith("/"):
                yield from self._list(whole, prefix)
            elif whole.startswith(prefix) and not is_temporary(name) and not is_lock(name):
                with contextlib.suppress(FileNotFoundError):  # it was removed, or is a link to nothing
                    if entry.is_file():
                        yield describe(whole, entry.stat())

    def read(self, name: str, *, limit: int) -> tuple[bytes, str]:
        path = self.root / name
        for _ in range(100):
            fd = with_room(lambda: open_regular(path), path)
            try:
                before = os.fstat(fd)
                data = read_all(fd, path, limit)
                after = describe(name, os.fstat(fd))
            finally:
                os.close(fd)
            if after == describe(name, before) and len(data) == after.size:
                return data, after.version
        raise DatasetChanged(f"{path}: is changed again and again while it is read; read it when nobody writes to it")

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        found = self.info(name)
        size = min(size, found.size)
        return (self._file(Want(name, 0, 0, found.version)).read(found.size - size, size) if size else b""), found

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            answer: Bytes | Exception
            try:
                answer = self._file(want).read(want.offset, want.size)
            except (OSError, AtlasError) as error:
                answer = error
            yield number, answer

    def _file(self, want: Want) -> ReadFile:
        key = want.name, want.version
        found = self._files.get(key) if want.version else None
        if found is None:
            if want.version and self.info(want.name).version != want.version:
                raise DatasetChanged(f"{self.root / want.name}: was replaced by another file after it was opened; open the dataset again")
            found = ReadFile(self.root / want.name)
            if want.version:
                self._files[key] = found
        return found

    def stream(self, name: str) -> io.BufferedReader:
        path = self.root / name
        return io.BufferedReader(io.FileIO(with_room(lambda: open_regular(path), path), "rb"), 1 << 20)

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> LocalFile:
        return LocalFile(self.root, label, mark)

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        with contextlib.nullcontext() if expected is ... else self.lock():
            old = self._version(name)
            if expected is not ... and old != expected:
                what = "does not exist any more" if old is None else "already exists" if expected is None else "was replaced by another writer"
                raise CommitConflict(f"{self.root / name}: {what}: read it again before it is written")
            file = self.new_file(name, mark)
            try:
                file.write(data)
                file.finish()
                self._make_new(file.path, old)
                return file.publish(name).result().version
            except BaseException:
                file.discard()
                raise

    def _version(self, name: str) -> str | None:
        try:
            return self.info(name).version
        except FileNotFoundError:
            return None

    def _make_new(self, path: Path, old: str | None) -> None:
        """Sees to it that the version of a file is another one, even where the clock of the file system has not moved on."""
        for step in STEPS:
            found = os.stat(path)
            if old is None or describe("", found).version != old:
                return
            with explained(path):
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + step))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.root / name
            if is_folder(path):
                continue
            with explained(path):
                path.unlink(missing_ok=True)

    def copy(self, name: str, to: str) -> None:
        link_file(self.root / name, self.root / to)
        sync_folder((self.root / to).parent)

    # --- several writers ---

    def create(self) -> bool:
        made = not self.root.exists()
        with explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        return made

    def remove_if_empty(self) -> None:
        remove_if_empty(self.root)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        if self._holder == threading.get_ident():
            yield
            return
        with locked(self.root):
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> LocalLog:
        return LocalLog(self.root, name, begin, mark)

    def is_held(self, name: str) -> bool | None:
        return is_flocked(self.root / name)

    def sees_every_holder(self) -> bool:
        return flock_spans_machines(self.root)

    def remove_unfinished(self, mark: str) -> None:
        for path in temporary_of(self.root, mark):
            remove_regular(path)

    def inside(self, prefix: str) -> LocalStore:
        return LocalStore(self.root / prefix)


def describe(name: str, found: os.stat_result) -> FileInfo:
    """The version is size and time of modification: inode numbers change on overlays, and when files are copied back."""
    return FileInfo(name, found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


class LocalFile(NewFile):
    """A new file of a folder."""

    def publish(self, name: str) -> Future[FileInfo]:  # type: ignore[override]
        path = super().publish(name)
        done: Future[FileInfo] = Future()
        done.set_result(describe(name, os.stat(path)))
        return done


class LocalLog:
    """A log whose holder has its flock, where the file system has one."""

    def __init__(self, folder: Path, name: str, begin: Callable[[bool], bytes], mark: str) -> None:
        self._path = folder / name
        step = folder / temporary_name("journal", mark=mark)
        step.unlink(missing_ok=True)  # of a writer that was stopped here, or a link
        with explained(self._path):
            self._fd = os.open(step, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            data = begin(try_flock(self._fd) is not None)
            with explained(self._path):
                write_all(self._fd, [memoryview(data)], step)
                os.fsync(self._fd)
                os.replace(step, self._path)
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
