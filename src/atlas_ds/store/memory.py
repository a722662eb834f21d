"""A store in the memory of this process: for tests, and for data that needs no disk. It can neither rename nor link, as object stores cannot."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import EllipsisType

from atlas_ds.errors import AtlasError, CommitConflict, DatasetChanged, LimitError, TruncatedError
from atlas_ds.forks import Lock
from atlas_ds.store.owner import new_token
from atlas_ds.store.store import Bytes, FileInfo, Want


class _Files:
    """What all views of one memory share."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.content: dict[str, tuple[bytes, str]] = {}
        self.held: set[str] = set()
        self.versions = itertools.count(1)

    def write(self, name: str, data: bytes) -> str:
        version = str(next(self.versions))
        self.content[name] = (data, version)
        return version


class MemoryStore:
    """See store.py for what each method promises. A forked child has a copy; a spawned process cannot have one."""

    folder: Path | None = None

    def __init__(self, url: str | None = None) -> None:
        self.url = url or f"memory:{new_token()}"
        self._files = _Files()
        self._prefix = ""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise AtlasError(f"{self.url}: lives in the memory of one process and cannot be sent to another: write the data to a folder, or fork")

    def __repr__(self) -> str:
        return f"MemoryStore({self.url!r})"

    def _place(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _get(self, name: str) -> tuple[bytes, str]:
        found = self._files.content.get(self._prefix + name)
        if found is None:
            raise FileNotFoundError(f"{self._place(name)}: file not found")
        return found

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        data, version = self._get(name)
        return FileInfo(name, len(data), version)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        start = self._prefix + prefix
        with self._files.lock:
            found = sorted((name, len(data), version) for name, (data, version) in self._files.content.items() if name.startswith(start))
        return (FileInfo(name.removeprefix(self._prefix), size, version) for name, size, version in found)

    def read(self, name: str, *, limit: int) -> tuple[bytes, str]:
        data, version = self._get(name)
        if len(data) > limit:
            raise LimitError(f"{self._place(name)}: has {len(data):,} bytes, and at most {limit:,} are read")
        return data, version

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        data, version = self._get(name)
        return memoryview(data)[max(0, len(data) - size) :], FileInfo(name, len(data), version)

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            answer: Bytes | Exception
            try:
                answer = self._range(want)
            except (OSError, AtlasError) as error:
                answer = error
            yield number, answer

    def _range(self, want: Want) -> Bytes:
        data, version = self._get(want.name)
        if want.version not in ("", version):
            raise DatasetChanged(f"{self._place(want.name)}: was replaced after it was opened; open the dataset again")
        if want.offset + want.size > len(data):
            why = f"byte {want.offset}: {want.size:,} bytes were asked for, and the file has {len(data):,}"
            raise TruncatedError(f"{self._place(want.name)}: {why}")
        return memoryview(data)[want.offset : want.offset + want.size]

    def stream(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._get(name)[0]))

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> MemoryFile:
        return MemoryFile(self, label)

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        copied = bytes(memoryview(data))
        with self._files.lock:
            found = self._files.content.get(self._prefix + name)
            old = found[1] if found is not None else None
            if expected is not ... and old != expected:
                what = "does not exist any more" if old is None else "already exists" if expected is None else "was replaced by another writer"
                raise CommitConflict(f"{self._place(name)}: {what}: read it again before it is written")
            return self._files.write(self._prefix + name, copied)

    def delete(self, names: Iterable[str]) -> None:
        with self._files.lock:
            for name in names:
                self._files.content.pop(self._prefix + name, None)

    def copy(self, name: str, to: str) -> None:
        data, _ = self._get(name)
        with self._files.lock:
            self._files.write(self._prefix + to, data)

    # --- several writers ---

    def create(self) -> bool:
        return next(self.list(), None) is None

    def remove_if_empty(self) -> None:
        """There is no place that could be left."""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """As an object store, it has none: put decides."""
        yield

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> MemoryLog:
        return MemoryLog(self._files, self._prefix + name, begin)

    def is_held(self, name: str) -> bool | None:
        self._get(name)
        return self._prefix + name in self._files.held

    def sees_every_holder(self) -> bool:
        return True

    def remove_unfinished(self, mark: str) -> None:
        """What is not published is in no list."""

    def inside(self, prefix: str) -> MemoryStore:
        view = MemoryStore(f"{self.url}/{prefix}")
        view._files, view._prefix = self._files, f"{self._prefix}{prefix}/"
        return view


class MemoryFile:
    """A file that has no name yet."""

    def __init__(self, store: MemoryStore, label: str) -> None:
        self._store, self._label = store, label
        self._data: bytearray | None = bytearray()
        self.size = 0

    def write(self, data: Bytes) -> None:
        if self._data is None:
            raise ValueError(f"{self._store.url}: {self._label}: is already published or discarded; cannot write")
        self._data += memoryview(data).cast("B")
        self.size = len(self._data)

    def finish(self) -> None:
        if self._data is None:
            raise ValueError(f"{self._store.url}: {self._label}: is already published or discarded; write the file again")

    def publish(self, name: str) -> Future[FileInfo]:
        self.finish()
        assert self._data is not None
        version = self._store.put(name, self._data)
        done: Future[FileInfo] = Future()
        done.set_result(FileInfo(name, self.size, version))
        self._data = None
        return done

    def discard(self) -> None:
        self._data = None


class MemoryLog:
    """A log that is held until it is closed, or nobody has it any more."""

    def __init__(self, files: _Files, name: str, begin: Callable[[bool], bytes]) -> None:
        self._files, self._name = files, name
        self._open = True
        data = begin(True)
        with files.lock:
            self._version = files.write(name, data)
            files.held.add(name)

    def append(self, data: bytes) -> None:
        if not self._open:
            raise ValueError(f"{self._name}: the log is closed")
        with self._files.lock:
            found = self._files.content.get(self._name)
            if found is None or found[1] != self._version:
                return  # it was removed, or another writer has replaced it: as with a file that lost its name, nobody reads this
            self._version = self._files.write(self._name, found[0] + data)

    def sync(self) -> None:
        """Memory has no power cut to survive."""

    def close(self) -> None:
        if self._open:
            self._open = False
            with self._files.lock:
                found = self._files.content.get(self._name)
                if found is None or found[1] == self._version:
                    self._files.held.discard(self._name)

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()
