"""A store at a URL that is written to: S3 and what speaks like it, GCS, Azure. How it is read is in object_reading.py.

A file is published by one request, or by one that completes the parts of an upload; a small one may expect a version. After a request whose outcome
is not known the file is read back, and equal bytes mean that it was stored; after one that was refused they are another writer's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import EllipsisType
from typing import Any

from atlas_ds.errors import CommitConflict, UnsupportedError
from atlas_ds.store import storage_options
from atlas_ds.store.causes import status_of
from atlas_ds.store.helper import where_it_works
from atlas_ds.store.leased_log import LEASE, LeasedLog
from atlas_ds.store.object_reading import PROBE, ObjectReader, split_url, version_of
from atlas_ds.store.paths import clean
from atlas_ds.store.spool import SpoolFile
from atlas_ds.store.store import Bytes, FileInfo, conflict, place_of

PART = 8 << 20  # bytes of a part of an upload
PARTS = 9000  # of one upload; S3 takes 10,000
PARTS_AT_ONCE = 6
HELD = "atlasheld"  # what a log says of itself beside its bytes
FRESH = {"Cache-Control": "no-cache"}  # of what may be replaced
FIXED = {"Cache-Control": "max-age=31536000, immutable"}  # of what has a hash in its name; not public: a proxy would give it to others


def store_of_file(url: str, options: Mapping[str, Any] | None = None) -> tuple[ObjectStore, str]:
    """(store, name) of a file by its URL, which may have a query (a presigned one): that goes with the options, which are never shown."""
    address, _, query = url.partition("?")
    root, path = split_url(address)
    prefix, _, name = path.rpartition("/")
    if not name or address.endswith("/"):
        raise ValueError(f"{clean(url)}: names no file")
    if query and root.family != "http":
        raise ValueError(f"{clean(url)}: has a query, which only http and https URLs can have; leave it out: storage_options say how it is reached")
    known = replace(storage_options.checked(root.family, options, clean(url)), query=query.partition("#")[0])
    return ObjectStore(address, known).at(prefix), name


class ObjectStore(ObjectReader):
    """See store.py for what each method promises. A version is an ETag: with S3, two files of the same bytes may have the same."""

    @property
    def alone(self) -> bool:
        """Whether nobody else writes here, so that the store need not look at conditions."""
        return self.options.alone

    @alone.setter
    def alone(self, value: bool) -> None:
        self.options = replace(self.options, alone=value)  # which go to the process that asks for a forked child

    def _refuse_http(self) -> None:
        if self.root.family == "http":
            raise UnsupportedError(f"{self.url}: HTTP servers are read, and not written to: write to a folder and copy it there, or to the store behind it")

    @where_it_works
    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        return self._put(name, bytes(memoryview(data)), expected, FRESH)

    def _put(self, name: str, data: bytes, expected: str | EllipsisType | None, attributes: Mapping[str, str]) -> str:
        self._refuse_http()
        place = place_of(self, name)
        if expected is not ... and self.alone:
            found = self._version_now(name)
            if found != expected:
                raise CommitConflict(conflict(place, found, expected))
            expected = ...
        elif expected is not ...:
            self._check_conditions()
        once = partial(self._put_once, self._path(name), place, data, expected, attributes, [])
        version: str = self._ask(place, "cannot be written", once, len(data))
        return version

    def _version_now(self, name: str) -> str | None:
        try:
            return self.info(name).version
        except FileNotFoundError:
            return None

    async def _put_once(
        self, path: str, place: str, data: bytes, expected: str | EllipsisType | None, attributes: Mapping[str, str], lost: list[Exception]
    ) -> str:
        """One try. lost: errors of earlier ones, any of which may have been stored all the same."""
        client, put = self.client.get(), self.client.obstore.put_async
        same: dict[str, Any] = {"attributes": attributes, "use_multipart": False}
        if isinstance(expected, EllipsisType):
            return version_of(await put(client, path, data, **same))
        try:
            mode: Any = "create" if expected is None else await self._at_version(path, place, expected)
            return version_of(await put(client, path, data, mode=mode, **same))
        except CommitConflict:
            raise
        except Exception as error:
            refused = type(error).__name__ in ("AlreadyExistsError", "PreconditionError") and status_of(error) != 409  # another write is under way
            if not refused:
                lost.append(error)
            found = await self._stored(path)
            if lost and found is not None and found[0] == data:
                return found[1]
            if (None if found is None else found[1]) != expected:
                raise CommitConflict(conflict(place, None if found is None else found[1], expected)) from None
            if refused:
                raise ConnectionError(f"the store refuses it as if the file had changed: {error}") from None  # another one is being written: again
            raise

    async def _at_version(self, path: str, place: str, expected: str) -> dict[str, str]:
        """What a request has to say so that it changes this version only."""
        if self.root.family != "gs":
            return {"e_tag": expected}
        try:
            meta = await self.client.obstore.head_async(self.client.get(), path)  # GCS counts generations
        except FileNotFoundError:
            raise CommitConflict(conflict(place, None, expected)) from None
        if version_of(meta) != expected:
            raise CommitConflict(conflict(place, version_of(meta), expected))
        return {"version": str(meta["version"])}

    async def _stored(self, path: str) -> tuple[bytes, str] | None:
        """What is there, and its version."""
        try:
            result = await self.client.obstore.get_async(self.client.get(), path)
            return bytes(await result.bytes_async()), version_of(result.meta)
        except FileNotFoundError:
            return None

    def _check_conditions(self) -> None:
        """UnsupportedError if the store does not look at what a request expects: asked once for a root and process, not taken for granted."""
        if self.client.conditional:
            return
        put, path, place = self.client.obstore.put_async, self._begin + PROBE, place_of(self, PROBE)

        async def refused(mode: Any) -> bool:
            try:
                await put(self.client.get(), path, b"{}", mode=mode, use_multipart=False)
                return False
            except Exception as error:
                if type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
                    return True
                raise

        self._ask(place, "cannot be written", partial(refused, "create"))  # the first time it is made
        modes: list[Any] = ["create", {"version": "1"} if self.root.family == "gs" else {"e_tag": '"0"'}]
        if not all(self._ask(place, "cannot be written", partial(refused, mode)) for mode in modes):
            why = "the store does not look at conditions (If-Match, If-None-Match), so that of two writers one would lose its rows without a word"
            raise UnsupportedError(f"{self.url}: {why}; if nobody else writes there meanwhile, pass single_writer=True")
        self.client.conditional = True

    # --- large files ---

    def new_file(self, label: str, mark: str | None = None) -> SpoolFile:
        self._refuse_http()
        return SpoolFile(f"{self.url}: {label}", self.send)

    @where_it_works
    def send(self, path: str, name: str, size: int) -> FileInfo:
        """Sends a file of this machine, under a name that has a hash of it."""
        where, place, put = self._path(name), place_of(self, name), self.client.obstore.put_async

        parts = {"chunk_size": max(PART, -(-size // PARTS)), "max_concurrency": PARTS_AT_ONCE}

        async def once() -> str:
            with open(path, "rb", 0) as file:
                return version_of(await put(self.client.get(), where, file, attributes=FIXED, use_multipart=size > PART, **parts))

        return FileInfo(name, size, self._ask(place, "cannot be written", once, size))

    # --- files that are there ---

    @where_it_works
    def delete(self, names: Iterable[str]) -> None:
        paths = list(map(self._path, names))
        for start in range(0, len(paths), 1000):
            self._delete(paths[start : start + 1000])

    def _delete(self, paths: list[str]) -> None:
        async def once() -> None:
            await self.client.obstore.delete_async(self.client.get(), paths)

        try:
            self._ask(self.url, "files cannot be removed", once)
        except FileNotFoundError:
            if len(paths) > 1:  # not each store says what has become of the others
                for path in paths:
                    self._delete([path])

    @where_it_works
    def copy(self, name: str, to: str) -> None:
        async def once() -> None:
            await self.client.obstore.copy_async(self.client.get(), self._path(name), self._path(to))

        self._ask(place_of(self, name), "cannot be copied", once)

    # --- several writers ---

    @where_it_works
    def create(self) -> bool:
        self._refuse_http()

        async def once() -> bool:
            async for page in self.client.obstore.list(self.client.get(), self.prefix or None, chunk_size=2):
                if any(one["path"] != self._begin + PROBE for one in page):
                    return False
            return True

        return bool(self._ask(self.url, "cannot be listed", once))

    def remove_if_empty(self) -> None:
        """Nothing is left of a place that holds nothing."""

    def lock(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def new_log(self, name: str, begin: Any, mark: str) -> LeasedLog:
        self._refuse_http()
        return LeasedLog(place_of(self, name), begin(True), partial(self.write_log, name), partial(self.read, name))

    @where_it_works
    def write_log(self, name: str, data: bytes, expected: Any, *, held: bool) -> str:
        return self._put(name, data, expected, FRESH | {HELD: "yes" if held else "no"})

    @where_it_works
    def is_held(self, name: str) -> bool | None:
        path, place = self._path(name), place_of(self, name)

        async def once() -> tuple[str | None, datetime]:
            result = await self.client.obstore.get_async(self.client.get(), path)
            await result.bytes_async()  # so that the connection can be used again
            return result.attributes.get(HELD), result.meta["last_modified"]

        found: tuple[str | None, datetime] = self._ask(place, "cannot be read", once)
        held, when = found
        return held == "yes" and (self.now() - when).total_seconds() < LEASE

    def sees_every_holder(self) -> bool:
        return True

    @where_it_works
    def now(self) -> datetime:
        """The time by the clock of the store."""
        path = self._begin + PROBE

        async def once() -> datetime:
            await self.client.obstore.put_async(self.client.get(), path, b"{}", use_multipart=False)
            found: datetime = (await self.client.obstore.head_async(self.client.get(), path))["last_modified"]
            return found

        found: datetime = self._ask(place_of(self, PROBE), "cannot be written", once)
        return found

    def remove_unfinished(self, mark: str) -> None:
        """Files without a name are on the machine of their writer, and go with it."""
