"""The file systems of fsspec, which only this file imports: which one a URL is for, and how many of its requests are under way.

A file system of fsspec may be one connection that two threads must not use together (FTP), and may wait for ever. So each request has a file
system of its own while it runs, in a thread that is left behind if it takes too long.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from atlas_ds.errors import UnsupportedError
from atlas_ds.forks import Lock, in_child
from atlas_ds.store.paths import cure_of_url
from atlas_ds.store.storage_options import FAMILIES, UrlOptions

T = TypeVar("T")
TOGETHER = 16  # requests to one root; servers of FTP often take no more connections from one address
_numbers = itertools.count()
_kept: list[Any] = []
_all: weakref.WeakValueDictionary[str, Filesystems] = weakref.WeakValueDictionary()
_lock = Lock()


def filesystems_of(scheme: str, root: str, options: UrlOptions, shown: str) -> Filesystems:
    """Those of a root with these options: one object in a process. shown: how errors name it."""
    key = repr((root, sorted(options.config.items(), key=lambda item: item[0])))
    with _lock.held:
        found = _all.get(key)
        if found is None:
            found = _all[key] = Filesystems(scheme, root, options, shown)
        return found


def class_of(scheme: str, shown: str) -> Any:
    """fsspec's class. UnsupportedError if there is none, or if its package is not installed."""
    try:
        import fsspec
    except ImportError as error:
        cure = "install it, and what it needs for such URLs: pip install fsspec"
        raise UnsupportedError(f"{shown}: Atlas itself reads {'://, '.join(FAMILIES)}://; {scheme}:// needs fsspec: {cure}") from error
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        other = f"; if no Atlas dataset is there, {cure_of_url(shown)}" if scheme == "hf" else ""
        raise UnsupportedError(f"{shown}: is a URL of a kind that needs another package: {error}{other}") from error
    except ValueError:
        known = ", ".join(sorted(set(fsspec.available_protocols()) | set(FAMILIES)))
        why = f"no store for {scheme}:// is known, neither to Atlas nor to fsspec; install the package that brings it to fsspec, or use one of {known}"
        raise UnsupportedError(f"{shown}: {why}") from None


class Filesystems:
    """Of a root. turns: how many requests may be under way. forks: whether a forked child can go on with them."""

    def __init__(self, scheme: str, root: str, options: UrlOptions, shown: str) -> None:
        self._class = class_of(scheme, shown)
        self._root, self._options = root, options
        self.number = next(_numbers)
        self.forks = scheme == "memory"  # which no other process has
        self._free: list[Any] = []
        self.turns = threading.BoundedSemaphore(TOGETHER)
        self.retries = 0
        in_child(self)

    def after_fork(self) -> None:
        _kept.append(self._free)  # never freed in a child: some say goodbye to the server then, by the parent's connection
        self._free, self.turns = [], threading.BoundedSemaphore(TOGETHER)

    def path(self, url: str) -> str:
        """What the methods of a file system call the place at a URL."""
        path: str = self._class._strip_protocol(url)
        return path.rstrip("/")

    def call(self, work: Callable[[Any], T], seconds: float) -> T:
        """What work returns of a file system that nobody else uses. TimeoutError if it takes too long."""
        ended: Future[T] = Future()

        def run() -> None:
            try:
                ended.set_result(self._lent(work))
            except BaseException as error:  # somebody waits for it
                ended.set_exception(error)

        threading.Thread(target=run, name="atlas-fsspec", daemon=True).start()
        return ended.result(seconds)

    def _lent(self, work: Callable[[Any], T]) -> T:
        """One that has failed may have a broken connection: it is not used again."""
        filesystem = None
        with suppress(IndexError):
            filesystem = self._free.pop()
        free = self._free
        if filesystem is None:
            filesystem = self._class(**self._class._get_kwargs_from_urls(self._root) | self._options.config, skip_instance_cache=True)
        try:
            result = work(filesystem)
        except FileNotFoundError:
            free.append(filesystem)
            raise
        free.append(filesystem)
        return result


def reads_ahead(filesystem: Any) -> bool:
    """Whether a range is read by opening the file, with a cache of megabytes that nobody needs."""
    import fsspec

    return bool(type(filesystem).cat_file is fsspec.AbstractFileSystem.cat_file)
