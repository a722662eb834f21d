"""What every store offers: bytes by name, published atomically. The stores are local.py and memory.py; a user may write another one.

It knows no Atlas format. atlas_ds.testing.check_store proves that an implementation keeps these rules.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from types import EllipsisType
from typing import NamedTuple, Protocol, TypeGuard


class Bytes(Protocol):
    """Anything with a buffer."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class FileInfo(NamedTuple):
    """A file of a store.

    name: below the root, "/" between its parts. size: bytes. version: another one whenever the bytes may have changed (an ETag, a generation;
    on a local disk size and time of modification).
    """

    name: str
    size: int
    version: str


class Want(NamedTuple):
    """A range of a file. version: DatasetChanged if the file has another one by now; "": whatever is there (a name that holds a hash says enough)."""

    name: str
    offset: int
    size: int
    version: str = ""


class NewFile(Protocol):
    """A file without a name: write, then publish or discard. One thread at a time.

    size: bytes written so far. An error of write or finish discards it.
    """

    size: int

    def write(self, data: Bytes, /) -> None:
        """Appends data, which must not be changed afterwards."""

    def finish(self) -> None:
        """All bytes are safe from a power cut when this returns; it may be called long before publish."""

    def publish(self, name: str) -> Future[FileInfo]:
        """Finishes the file and gives it its name atomically, replacing a file that has it. The result is there once the name is safe, too."""

    def discard(self) -> None:
        """Removes the file, unless it is published. It may be called again."""


class Log(Protocol):
    """A file that grows line by line while one process holds it. Readers see complete appends, except the last after a crash."""

    def append(self, data: bytes) -> None:
        """Appends bytes, which readers see from then on."""

    def sync(self) -> None:
        """What was appended is safe from a power cut when this returns."""

    def close(self) -> None:
        """Releases the file to others. It may be called again."""


class Store(Protocol):
    """Bytes by name. Methods block, may be called by many threads at once, and release the GIL while they wait.

    url: shown to users, without secrets. folder: where the operating system can open the files itself, or None. far: whether it is elsewhere and has
    no locks, so that others may read what a manifest has named for days, and nobody knows who writes. Errors are FileNotFoundError for a missing
    file, DatasetChanged and CommitConflict as below, AtlasError or OSError for the rest; each names the file. A store can be pickled: by its url and
    options, without secrets.
    """

    url: str
    folder: Path | None
    far: bool

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        """FileNotFoundError if there is no such file."""

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """The files whose names begin with prefix, by name; unfinished ones and locks are not listed."""

    def entries(self) -> Iterator[str]:
        """What is at the top, in any order: names of files, and with "/" at the end each prefix that `inside` leads to. Unfinished files
        and locks are left out. It lets a caller look at a place without listing all that is below it."""

    def is_plain(self, name: str, size: int | None = None) -> bool:
        """Whether a name is that of a file (of so many bytes), and not of a link to one: writers make no links, so they remove none."""

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        """A small file and its version, of one moment. LimitError if it has more than `limit` bytes.

        follow: whether the name may be a link. A file that tells a writer what to remove may not be one.
        """

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        """The last `size` bytes of a file (all, if it is shorter), and what it is."""

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        """Ranges of any number of files, as they arrive: the number of a want, and its bytes or its error. A failure of one fails no other."""

    def stream(self, name: str) -> io.BufferedReader:
        """A file from its beginning; the caller closes it."""

    # --- writing ---

    def new_file(self, label: str, mark: str | None = None) -> NewFile:
        """label: for people who look at unfinished files. mark: names their owner (see remove_unfinished); None: this process."""

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        """Writes a small file atomically and returns its version, which the file never had before with other bytes.

        expected: the version that it must have now, None if it must not exist, ... for anything. CommitConflict otherwise: of many who expect
        the same, one succeeds.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Removes files; those that do not exist are passed over. Never a folder; of a link only the link."""

    def copy(self, name: str, to: str) -> None:
        """Gives a published file a second name, atomically, replacing a file that has it. It need not copy bytes."""

    # --- several writers ---

    def create(self) -> bool:
        """Prepares the place for files, before any of the methods that write; whether it did not exist before."""

    def remove_if_empty(self) -> None:
        """Removes the place if it holds nothing (but locks)."""

    def lock(self) -> AbstractContextManager[None]:
        """Keeps other writers out for a short time, where the store can. Where it cannot, it does nothing, and `put` with `expected` decides.

        A thread that has it may enter it again. FileNotFoundError if the place was removed.
        """

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> Log:
        """Replaces a log atomically by another one, and holds it until it is closed or the process ends. Call it under the lock.

        begin: returns its first bytes, and is told whether is_held will know that it is held, which only its holder can find out. They are
        safe from a power cut before they replace a log. mark: see new_file.
        """

    def is_held(self, name: str) -> bool | None:
        """Whether a process holds a log; None if the store cannot tell. FileNotFoundError if there is none."""

    def sees_every_holder(self) -> bool:
        """Whether is_held knows of the processes of all machines that can write here."""

    def unfinished(self) -> Iterator[FileInfo]:
        """The files at the top that were never published, by name: `read` and others take their names, and `delete` removes them.

        A repair reads them. A store that others cannot look into before a file is published has none.
        """

    def remove_unfinished(self, mark: str) -> None:
        """Removes the files of an owner that were never published."""

    def inside(self, prefix: str) -> Store:
        """The store of the names that begin with prefix + "/", without it. CorruptError if that is a file or a link: writers make neither."""


def place_of(store: Store, name: str | None = None) -> str:
    """How errors name a file of a store, or the store itself."""
    if name is None:
        return store.url if store.folder is None else str(store.folder)
    return f"{store.url.rstrip('/')}/{name}" if store.folder is None else str(store.folder / name)


def is_store(given: object) -> TypeGuard[Store]:
    """Whether a user's argument is a store, and not a path."""
    return all(callable(getattr(given, name, None)) for name in ("read_ranges", "put", "new_file"))


def checked_name(name: str) -> str:
    """The name of a file, or a prefix. ValueError for one that could lead out of its store."""
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{name!r}: is not a name of a store: give parts with one '/' between them, none of which is empty, '.' or '..'")
    return name


def conflict(place: str, now: str | None, expected: str | None) -> str:
    """What is said to a writer that expected another file. now: the version that is there; None: there is no file."""
    what = "does not exist any more" if now is None else "already exists" if expected is None else "was replaced by another writer"
    return f"{place}: {what}: read it again before it is written"
