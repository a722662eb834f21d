"""MemoryStore: the store of a dictionary, for tests and for data that is made and used in one process."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import NoReturn

from atlas_ds import forks
from atlas_ds.errors import CommitConflict, DatasetChanged, LimitError
from atlas_ds.store.store import Bytes, FileInfo, Store, Want, check_name, place_of


@dataclass(slots=True)
class Stored:
    """The bytes of a name. data: a log's grows. holder: the process that holds a log, 0 if none does."""

    data: bytes | bytearray
    version: str
    holder: int = 0


@dataclass(slots=True)
class Shelf:
    """What a store and those inside it share. guard: of the fields, held for moments. writers: the lock that writers take."""

    guard: forks.Lock = field(default_factory=forks.Lock)
    writers: tuple[int, threading.RLock] = field(default_factory=lambda: (os.getpid(), threading.RLock()))
    files: dict[str, Stored] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)  # places that were prepared
    versions: int = 0

    def store(self, name: str, data: bytes | bytearray) -> Stored:
        """Call it under the guard."""
        self.versions += 1
        stored = self.files[name] = Stored(data, str(self.versions))
        return stored


class MemoryStore:
    """See store.Store. A forked child has a copy, as it stood at the fork. url: how messages name it."""

    __slots__ = ("_prefix", "_shelf", "folder", "url")

    def __init__(self, url: str = "memory:") -> None:
        self.url = url
        self.folder: Path | None = None
        self._shelf = Shelf()
        self._prefix = ""

    def __repr__(self) -> str:
        return f"MemoryStore({self.url!r})"

    def __reduce__(self) -> NoReturn:
        cure = "write to a folder, or use threads or forked processes, which have a copy"
        raise TypeError(f"{self.url}: a store in memory cannot be sent to another process: {cure}")

    def _find(self, name: str) -> Stored:
        """Call it under the guard."""
        found = self._shelf.files.get(self._prefix + check_name(name))
        if found is None:
            raise FileNotFoundError(f"{place_of(self, name)}: file not found")
        return found

    # --- reading ---

    def info(self, name: str, *, follow: bool = True) -> FileInfo:
        with self._shelf.guard:
            found = self._find(name)
            return FileInfo(name, len(found.data), found.version)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        begin, skip = self._prefix + prefix, len(self._prefix)
        with self._shelf.guard:
            found = [FileInfo(name[skip:], len(one.data), one.version) for name, one in self._shelf.files.items() if name.startswith(begin)]
        return iter(sorted(found))

    def entries(self) -> Iterator[str]:
        return iter(sorted({info.name.partition("/")[0] for info in self.list()}))

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        with self._shelf.guard:
            found = self._find(name)
            if len(found.data) > limit:
                raise LimitError(f"{place_of(self, name)}: has {len(found.data):,} bytes, and at most {limit:,} are read")
            return bytes(found.data), found.version

    def read_tail(self, name: str, size: int) -> tuple[bytes, FileInfo]:
        with self._shelf.guard:
            found = self._find(name)
            return bytes(found.data[max(0, len(found.data) - size) :]), FileInfo(name, len(found.data), found.version)

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        for number, want in enumerate(wants):
            try:
                yield number, self._read_want(want)
            except Exception as error:
                yield number, error

    def _read_want(self, want: Want) -> Bytes:
        with self._shelf.guard:
            found = self._find(want.name)
            if want.version and want.version != found.version:
                raise DatasetChanged(f"{place_of(self, want.name)}: was replaced by another file after it was opened; open the dataset again")
            data = found.data if isinstance(found.data, bytes) else bytes(found.data)
        if want.offset + want.size > len(data):
            was = f"the file ends at byte {len(data)}, and {want.size} bytes at byte {want.offset} were asked for"
            raise DatasetChanged(f"{place_of(self, want.name)}: {was}; it was truncated or replaced: open the dataset again")
        return memoryview(data)[want.offset : want.offset + want.size]

    def stream(self, name: str) -> io.BufferedReader:
        with self._shelf.guard:
            data = bytes(self._find(name).data)
        return io.BufferedReader(io.BytesIO(data))

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> MemoryFile:
        return MemoryFile(self)

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        name, data = self._prefix + check_name(name), bytes(data)
        with self._shelf.guard:
            old = self._shelf.files.get(name)
            if expected is not ... and (None if old is None else old.version) != expected:
                raise CommitConflict(f"{place_of(self, name[len(self._prefix) :])}: another writer has changed it since it was read")
            return self._shelf.store(name, data).version

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            with self._shelf.guard:
                self._shelf.files.pop(self._prefix + check_name(name), None)

    def copy(self, name: str, to: str) -> None:
        with self._shelf.guard:
            self._shelf.store(self._prefix + check_name(to), bytes(self._find(name).data))

    # --- several writers ---

    def create(self) -> bool:
        with self._shelf.guard:
            made = self._prefix not in self._shelf.made and not any(name.startswith(self._prefix) for name in self._shelf.files)
            self._shelf.made.add(self._prefix)
        return made

    def remove_if_empty(self) -> None:
        with self._shelf.guard:
            self._shelf.made.discard(self._prefix)

    def lock(self) -> AbstractContextManager[object]:
        shelf = self._shelf
        with shelf.guard:
            if shelf.writers[0] != os.getpid():  # a thread of the parent may hold it, which a forked child does not have
                shelf.writers = os.getpid(), threading.RLock()
            return shelf.writers[1]

    def new_log(self, name: str, data: bytes, mark: str) -> MemoryLog:
        with self._shelf.guard:
            stored = self._shelf.store(self._prefix + check_name(name), bytearray(data))
            stored.holder = os.getpid()
        return MemoryLog(self._shelf, stored)

    def is_held(self, name: str, *, near: bool) -> bool | None:
        with self._shelf.guard:
            return self._find(name).holder == os.getpid()

    def remove_unfinished(self, mark: str) -> None:
        """An unpublished file is in no list, and goes with its last reference."""

    def inside(self, prefix: str) -> Store:
        inner = MemoryStore(place_of(self, check_name(prefix)))
        inner._shelf, inner._prefix = self._shelf, f"{self._prefix}{prefix}/"
        return inner


class MemoryFile:
    """See store.NewFile."""

    __slots__ = ("_pieces", "_state", "_store", "size")

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._pieces: list[bytes] = []
        self._state = "open"  # then "finished", "published" or "discarded"
        self.size = 0

    def write(self, data: Bytes) -> None:
        if self._state != "open":
            raise ValueError(f"{self._store.url}: the file is already {self._state}; cannot write")
        piece = bytes(memoryview(data).cast("B"))
        self._pieces.append(piece)
        self.size += len(piece)

    def finish(self) -> None:
        if self._state not in ("open", "finished"):
            raise ValueError(f"{self._store.url}: the file is already {self._state}; write the file again")
        self._state = "finished"

    def publish(self, name: str) -> Future[FileInfo]:
        self.finish()
        version = self._store.put(name, b"".join(self._pieces))
        self._state = "published"
        self._pieces.clear()
        done: Future[FileInfo] = Future()
        done.set_result(FileInfo(name, self.size, version))
        return done

    def discard(self) -> None:
        if self._state != "published":
            self._state = "discarded"
            self._pieces.clear()


class MemoryLog:
    """See store.Log."""

    __slots__ = ("_shelf", "_stored", "can_be_held")

    def __init__(self, shelf: Shelf, stored: Stored) -> None:
        self._shelf, self._stored = shelf, stored
        self.can_be_held = True

    def append(self, data: bytes) -> None:
        with self._shelf.guard:
            if self._stored.holder != os.getpid():
                raise ValueError("the log is already closed; cannot append")
            self._stored.data += data
            self._shelf.versions += 1
            self._stored.version = str(self._shelf.versions)

    def sync(self) -> None:
        """There is no power cut to survive."""

    def close(self) -> None:
        if self._stored.holder == os.getpid():
            self._stored.holder = 0

    def __del__(self) -> None:  # of a writer whose constructor was interrupted
        if hasattr(self, "_stored"):
            self.close()
