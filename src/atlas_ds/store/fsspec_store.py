"""A store at a URL of which obstore knows nothing (ftp, sftp, hf, memory, ...): what fsspec can read, through filesystems.py.

Each request has a budget of time, in which it is tried again; its answer is as long as was asked for, or an error. Errors name the URL, the
range and the cause, and no value of storage_options, which fsspec gets as they are.
"""

from __future__ import annotations

import io
import queue
import random
import re
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing import context
from pathlib import Path
from typing import Any, Self, TypeVar

from atlas_ds.errors import AtlasError, DatasetChanged, LimitError, StoreError
from atlas_ds.store.causes import BUSY, FINAL, cause_of
from atlas_ds.store.filesystems import TOGETHER, filesystems_of, reads_ahead
from atlas_ds.store.helper import elsewhere, helper, where_it_works
from atlas_ds.store.paths import clean
from atlas_ds.store.pieces import Pieces
from atlas_ds.store.reading import UrlStore
from atlas_ds.store.storage_options import FIRST_WAIT, LONGEST_WAIT, SLOWEST, TIMEOUT, UrlOptions, checked_timeout
from atlas_ds.store.store import Bytes, FileInfo, Want, checked_name, place_of

T = TypeVar("T")
FINAL_KINDS = (PermissionError, IsADirectoryError, NotADirectoryError, NotImplementedError, TypeError, ImportError)
FINAL_NAMES = re.compile("error_perm|Authentication|BadHostKey|Permission|Forbidden|Unauthorized|Gated|NoCredentials")
# What file systems say of a file that is another one whenever its bytes are.
VERSION = frozenset({
    "etag", "e_tag", "mtime", "modify", "modified", "lastmodified", "last_modified", "created", "generation", "versionid", "version_id", "version",
    "blob_id", "sha", "md5", "md5hash", "crc32c", "checksum", "unique",
})  # fmt: skip


class FsspecStore(UrlStore):
    """See store.py for what each method promises."""

    def __init__(self, url: str, options: Mapping[str, Any] | UrlOptions | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = clean(url).rstrip("/")
        if parts.username is not None or parts.password is not None:
            raise ValueError(f"{self.url}: a URL with a user or a password is refused, since URLs are shown and logged: use storage_options")
        if parts.query or parts.fragment:
            raise ValueError(f"{self.url}: has a query or a fragment, which the URL of a folder cannot have; leave it out")
        self.folder: Path | None = None
        self.options = options if isinstance(options, UrlOptions) else checked(options)
        self.client = filesystems_of(parts.scheme, f"{parts.scheme}://{parts.netloc}", self.options, self.url)
        self.prefix = self.client.path(self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Options, any of which may be a secret, go only to a process that this one is starting at the moment."""
        spawning = context.get_spawning_popen() is not None
        return type(self), (self.url, self.options if spawning else UrlOptions(timeout=self.options.timeout))

    @property
    def retries(self) -> int:
        return self.client.retries

    # --- requests ---

    def _tried(self, place: str, what: str, work: Callable[[Any], T], size: int = 0) -> T:
        """One request, tried again until its budget of time is spent; waiting for a turn spends none of it. size: bytes that are asked for."""
        left = self.options.timeout + size / SLOWEST
        wait = FIRST_WAIT
        while True:
            begin = time.monotonic()
            try:
                with self.client.turns:
                    begin = time.monotonic()
                    return self.client.call(work, max(left, 0.001))
            except AtlasError:
                raise
            except Exception as error:
                left -= time.monotonic() - begin
                pause = wait * random.uniform(0.5, 1.5)
                final = self._final(place, what, error, last=pause >= left)
            if final is not None:
                raise final  # its text says the cause; the error itself may have secrets
            self.client.retries += 1
            time.sleep(pause)
            left -= pause
            wait = min(2 * wait, LONGEST_WAIT)

    def _final(self, place: str, what: str, error: Exception, *, last: bool) -> Exception | None:
        """The error to raise at once; None if another try may do better. last: there is no time for one."""
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{place}: file not found")
        status = status_of(error)
        if status == 416:
            return DatasetChanged(f"{place}: {what}: the file ends earlier; it was truncated or replaced: open the dataset again")
        if last or isinstance(error, FINAL_KINDS) or status in FINAL or FINAL_NAMES.search(type(error).__name__):
            why, cure = f"{type(error).__name__}: {cause_of(error)}", "check the address, your access (storage_options) and the network"
            if isinstance(error, TimeoutError):
                why, cure = f"no answer within {self.options.timeout:g} s", 'check the network, or pass storage_options={"timeout": seconds}'
            if status in BUSY:
                cure = "the server is busy: try later, or with fewer processes"
            return StoreError(f"{place}: {what}: {without(why, self.options.config)}; {cure}")
        return None

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{checked_name(name)}"

    def _look(self, filesystem: Any, name: str) -> FileInfo:
        """What a file is now."""
        filesystem.invalidate_cache()
        return self._described(name, filesystem.info(self._path(name)))

    def _described(self, name: str, found: Mapping[str, Any]) -> FileInfo:
        if found.get("type") == "directory":
            raise FileNotFoundError(name)
        if found.get("size") is None:
            raise StoreError(f"{place_of(self, name)}: its server does not say how many bytes it has")
        return FileInfo(name, int(found["size"]), version_of(found))

    def _fetch(self, filesystem: Any, want: Want) -> bytes:
        named = {"cache_type": "none"} if reads_ahead(filesystem) else {}
        path = self._path(want.name)
        data: bytes = filesystem.cat_file(path, want.offset, want.offset + want.size, **named)
        if len(data) < want.size:  # some cut it at the size that the file had once
            filesystem.invalidate_cache()
            data = filesystem.cat_file(path, want.offset, want.offset + want.size, **named)
        if want.version and self._look(filesystem, want.name).version != want.version:
            raise DatasetChanged(f"{place_of(self, want.name)}: was replaced by another file after it was opened; open the dataset again")
        if len(data) != want.size:
            why = f"byte {want.offset}: {want.size:,} bytes were asked for, {len(data):,} came"
            raise DatasetChanged(f"{place_of(self, want.name)}: {why}; the file was truncated or replaced: open the dataset again")
        return data

    def _range(self, want: Want) -> Bytes:
        if want.size == 0:
            return b""
        what = f"bytes {want.offset} to {want.offset + want.size - 1} cannot be read"
        view: Bytes = memoryview(self._tried(place_of(self, want.name), what, lambda filesystem: self._fetch(filesystem, want), want.size))
        return view

    def _answer(self, want: Want) -> Bytes | Exception:
        try:
            return self._range(want)
        except Exception as error:
            return error

    # --- reading ---

    @where_it_works
    def info(self, name: str) -> FileInfo:
        return self._tried(place_of(self, name), "cannot be looked up", lambda filesystem: self._look(filesystem, name))

    @where_it_works
    def listed(self, prefix: str) -> Sequence[FileInfo]:
        folders, files = [prefix.rpartition("/")[0]], []
        while folders:
            for name, found in self._in_folder(folders.pop()):
                if found.get("type") != "directory":
                    if name.startswith(prefix):
                        files.append(self._described(name, found))
                elif f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/"):
                    folders.append(name)
        return sorted(files)

    def _in_folder(self, folder: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """The names in a folder, and what they are; none if it does not exist."""
        path = self._path(folder) if folder else self.prefix

        def ask(filesystem: Any) -> Any:
            filesystem.invalidate_cache()
            return filesystem.ls(path, detail=True)

        try:
            found = self._tried(place_of(self, folder or None), "cannot be listed", ask)
        except FileNotFoundError:
            return []
        begin = f"{self.prefix}/"
        names = [(one["name"].rstrip("/"), one) for one in found]  # of a file, its own name comes back
        return [(name.removeprefix(begin), one) for name, one in names if name.startswith(f"{path}/")]

    @where_it_works
    def top(self) -> Sequence[str]:
        return [f"{name}/" if found.get("type") == "directory" else name for name, found in self._in_folder("")]

    @where_it_works
    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        def ask(filesystem: Any) -> tuple[bytes, str]:
            file = self._look(filesystem, name)
            if file.size > limit:
                raise LimitError(f"{place_of(self, name)}: has {file.size:,} bytes, and at most {limit:,} are read")
            return self._all(filesystem, file, 0), file.version

        return self._tried(place_of(self, name), "cannot be read", ask)

    @where_it_works
    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        def ask(filesystem: Any) -> tuple[Bytes, FileInfo]:
            file = self._look(filesystem, name)
            return self._all(filesystem, file, max(0, file.size - size)), file

        return self._tried(place_of(self, name), "cannot be read", ask, size)

    def _all(self, filesystem: Any, file: FileInfo, start: int) -> bytes:
        """A file from a byte on. If it is replaced meanwhile, the request is tried again."""
        try:
            return self._fetch(filesystem, Want(file.name, start, file.size - start, file.version)) if file.size > start else b""
        except DatasetChanged as error:
            raise OSError(str(error)) from None

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        if elsewhere(self):
            return helper.ranges(self, wants)
        return self._each(wants)

    def _each(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        if len(wants) == 1:
            yield 0, self._answer(wants[0])
            return
        answers: queue.SimpleQueue[tuple[int, Bytes | Exception]] = queue.SimpleQueue()
        left = self.begin(wants, lambda number, answer: answers.put((number, answer)))
        try:
            for _ in wants:
                yield answers.get()
        finally:
            left.clear()

    def begin(self, wants: Sequence[Want], done: Callable[[int, Bytes | Exception], None]) -> deque[tuple[int, Want]]:
        """Reads ranges without waiting for them: calls done with the number of each, and its bytes or its error, in another thread.

        Returns those that nobody has begun with: what is taken away is not read.
        """
        left = deque(enumerate(wants))

        def work() -> None:
            while True:
                try:
                    number, want = left.popleft()
                except IndexError:
                    return
                done(number, self._answer(want))

        for _ in range(min(TOGETHER, len(wants))):
            threading.Thread(target=work, name="atlas-ranges", daemon=True).start()
        return left

    def stream(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(Pieces(self, self.info(name)), 1 << 16)

    def inside(self, prefix: str) -> Self:
        view = type(self).__new__(type(self))
        view.options, view.client, view.folder = self.options, self.client, None
        view.prefix, view.url = self._path(prefix), f"{self.url}/{prefix}"
        return view


def checked(given: Mapping[str, Any] | None) -> UrlOptions:
    """fsspec's options as they are; timeout is that of a request with all its tries, too."""
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"storage_options={type(given).__name__}: give a dict")
    config = dict(given or {})
    wrong = next((name for name in config if not isinstance(name, str)), None)
    if wrong is not None:
        raise TypeError(f"storage_options: {wrong!r} is not a str")
    return UrlOptions(config, timeout=checked_timeout(config.get("timeout", TIMEOUT)))


def version_of(found: Mapping[str, Any]) -> str:
    """Of what a file system says of a file, all that changes with its bytes."""
    said = {name.lower(): value for name, value in found.items() if isinstance(name, str) and name.lower() in VERSION and value is not None}
    parts = [f"{name}={value.timestamp() if hasattr(value, 'timestamp') else value}" for name, value in sorted(said.items())]
    return "|".join([str(found.get("size")), *parts])


def status_of(error: BaseException) -> int | None:
    """The status of an answer by HTTP, wherever the library of a file system has it."""
    places = (getattr(error, "status", None), getattr(error, "code", None), getattr(getattr(error, "response", None), "status_code", None))
    return next((place for place in places if isinstance(place, int)), None)


def without(text: str, options: object) -> str:
    """A text without the values of options, which may be secrets, and without what stands before an @ in a URL."""
    if isinstance(options, Mapping):
        for value in options.values():
            text = without(text, value)
    elif isinstance(options, list | tuple):
        for value in options:
            text = without(text, value)
    elif isinstance(options, str) and len(options) > 2:
        text = text.replace(options, "***")
    return re.sub(r"(://)[^\s/@]*@", r"\1", text)
