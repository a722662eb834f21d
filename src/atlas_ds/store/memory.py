"""A store in the memory of this process: for tests, and for data that needs no disk."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import Never

from atlas_ds.errors import CommitConflict, CorruptError, DatasetChanged, LimitError, UnsupportedError
from atlas_ds.forks import Lock
from atlas_ds.store.files import completed
from atlas_ds.store.store import Bytes, FileInfo, Want, checked_name, conflict
from atlas_ds.store.temporary import TEMPORARY, temporary_name


@dataclass(slots=True)
class _Content:
    """The bytes of a file. held: whether a log's holder has it."""

    data: bytes
    version: str
    held: bool = False


class _Shared:
    """What all views of one memory share. Names are below the root of all."""

    def __init__(self) -> None:
        self.lock = Lock(again=True)  # of what follows, for a moment; while a thread has it, it may collect a writer that nobody closed
        self.files: dict[str, _Content] = {}
        self.unfinished: dict[str, MemoryFile] = {}
        self.locks: dict[str, Lock] = {}  # of each prefix
        self.versions = itertools.count(1)

    def write(self, name: str, data: bytes) -> _Content:
        """Replaces a file. Call it under the lock."""
        content = self.files[name] = _Content(data, str(next(self.versions)))
        return content


_numbers = itertools.count(1)


class MemoryStore:
    """See store.py for what each method promises. A forked child has a copy of its own, of the moment of the fork."""

    far = False

    def __init__(self, url: str | None = None) -> None:
        self.url = f"memory:{next(_numbers)}" if url is None else url
        self.folder: Path | None = None
        self._shared = _Shared()
        self._prefix = ""  # with "/" at its end

    def __reduce__(self) -> Never:
        cure = "write the dataset to a folder, or fork the process, whose child has a copy"
        raise UnsupportedError(f"{self.url}: a MemoryStore is in the memory of one process and cannot be pickled: {cure}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def place(self, name: str) -> str:
        """How errors name a file."""
        return f"{self.url.rstrip('/')}/{name}"

    def _get(self, name: str) -> _Content:
        whole = self._prefix + checked_name(name)
        with self._shared.lock.held:
            found = self._shared.files.get(whole)
            if found is not None:
                return _Content(found.data, found.version, found.held)
            new = self._shared.unfinished.get(whole)
            if new is not None:
                return _Content(new.content(), "")
        raise FileNotFoundError(f"{self.place(name)}: file not found")

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        found = self._get(name)
        return FileInfo(name, len(found.data), found.version)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        return iter(self._list(prefix))

    def _list(self, prefix: str) -> Sequence[FileInfo]:
        begin, start = len(self._prefix), self._prefix + prefix
        with self._shared.lock.held:
            files = self._shared.files.copy()  # at once: a writer that is collected meanwhile may remove some
        return sorted(FileInfo(name[begin:], len(one.data), one.version) for name, one in files.items() if name.startswith(start))

    def entries(self) -> Iterator[str]:
        return iter({first + slash for first, slash, _ in (one.name.partition("/") for one in self._list(""))})

    def is_plain(self, name: str, size: int | None = None) -> bool:
        try:
            found = self._get(name)
        except FileNotFoundError:
            return False
        return size in (None, len(found.data))

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        found = self._get(name)
        if len(found.data) > limit:
            raise LimitError(f"{self.place(name)}: has {len(found.data):,} bytes, and at most {limit:,} are read")
        return found.data, found.version

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        found = self._get(name)
        return memoryview(found.data)[max(0, len(found.data) - size) :], FileInfo(name, len(found.data), found.version)

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            try:
                yield number, self._range(want)
            except OSError as error:
                yield number, error

    def _range(self, want: Want) -> Bytes:
        found = self._get(want.name)
        if want.version not in ("", found.version):
            raise DatasetChanged(f"{self.place(want.name)}: was replaced by another file after it was opened; open the dataset again")
        if want.offset + want.size > len(found.data):
            why = f"the file ends at byte {len(found.data)}, and bytes up to {want.offset + want.size} were asked for"
            raise DatasetChanged(f"{self.place(want.name)}: {why}; it was truncated or replaced: open the dataset again")
        return memoryview(found.data)[want.offset : want.offset + want.size]

    def stream(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._get(name).data))

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> MemoryFile:
        with self._shared.lock.held:
            names = (self._prefix + temporary_name(label, attempt, mark) for attempt in itertools.count())
            name = next(name for name in names if name not in self._shared.unfinished)
            file = self._shared.unfinished[name] = MemoryFile(self, name)
        return file

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        copied, whole = bytes(memoryview(data)), self._prefix + checked_name(name)
        with self.lock(), self._shared.lock.held:
            old = self._shared.files.get(whole)
            now = None if old is None else old.version
            if expected is not ... and now != expected:
                raise CommitConflict(conflict(self.place(name), now, expected))
            return self._shared.write(whole, copied).version

    def write(self, name: str, data: bytes) -> str:
        """Replaces a file, and returns its version."""
        with self._shared.lock.held:
            return self._shared.write(self._prefix + checked_name(name), data).version

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            whole = self._prefix + checked_name(name)
            with self._shared.lock.held:
                self._shared.files.pop(whole, None)
                self._shared.unfinished.pop(whole, None)

    def copy(self, name: str, to: str) -> None:
        self.write(to, self._get(name).data)

    # --- several writers ---

    def create(self) -> bool:
        return not self._list("")

    def remove_if_empty(self) -> None:
        """Nothing is left of a place that holds nothing."""

    def lock(self) -> AbstractContextManager[None]:
        with self._shared.lock.held:
            return self._shared.locks.setdefault(self._prefix, Lock(again=True)).held

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> MemoryLog:
        data = begin(True)
        with self._shared.lock.held:
            content = self._shared.write(self._prefix + checked_name(name), data)
            return MemoryLog(self._shared, content)

    def is_held(self, name: str) -> bool | None:
        return self._get(name).held

    def sees_every_holder(self) -> bool:
        return True

    def unfinished(self) -> Iterator[FileInfo]:
        start = self._prefix + TEMPORARY
        with self._shared.lock.held:
            files = self._shared.unfinished.copy()
        found = sorted((name, file.size) for name, file in files.items() if name.startswith(start))
        return (FileInfo(name.removeprefix(self._prefix), size, "") for name, size in found)

    def remove_unfinished(self, mark: str) -> None:
        self.delete([one.name for one in self.unfinished() if f"-{mark}-" in one.name])

    def inside(self, prefix: str) -> MemoryStore:
        whole = self._prefix + checked_name(prefix)
        with self._shared.lock.held:
            if whole in self._shared.files:
                raise CorruptError(f"{self.place(prefix)}: is a file, and cannot hold others: move it away")
        view = type(self)(self.place(prefix))
        view._shared, view._prefix = self._shared, whole + "/"
        return view


class MemoryFile:
    """A file that has no name yet."""

    def __init__(self, store: MemoryStore, hidden: str) -> None:
        self._store, self._hidden = store, hidden
        self._data = bytearray()
        self._state = "open"
        self.size = 0

    def content(self) -> bytes:
        """What was written so far."""
        return bytes(self._data)

    def _check(self, *states: str) -> None:
        if self._state not in states:
            raise ValueError(f"{self._store.place(self._hidden)}: is already {self._state}; write the file again")

    def write(self, data: Bytes) -> None:
        self._check("open")
        self._data += memoryview(data).cast("B")
        self.size = len(self._data)

    def finish(self) -> None:
        self._check("open", "finished")
        self._state = "finished"

    def publish(self, name: str) -> Future[FileInfo]:
        self.finish()
        version = self._store.write(name, self.content())
        self._end("published")
        return completed(FileInfo(name, self.size, version))

    def discard(self) -> None:
        if self._state in ("open", "finished"):
            self._end("discarded")

    def _end(self, state: str) -> None:
        self._state = state
        with self._store._shared.lock.held:
            self._store._shared.unfinished.pop(self._hidden, None)
        self._data = bytearray()


class MemoryLog:
    """A log that is held until it is closed, or nobody has it any more."""

    def __init__(self, shared: _Shared, content: _Content) -> None:
        self._shared, self._content = shared, content
        content.held = True

    def append(self, data: bytes) -> None:
        with self._shared.lock.held:
            if not self._content.held:
                raise ValueError("the log is closed; nothing can be appended")
            self._content.data += data
            self._content.version = str(next(self._shared.versions))

    def sync(self) -> None:
        """Memory survives no power cut."""

    def close(self) -> None:
        self._content.held = False

    def __del__(self) -> None:
        self.close()
