"""A store at a URL: S3 and what speaks like it, GCS, Azure, HTTP(S), through obstore (clients.py).

One client per root and process. Each request has a budget of time, in which it is tried again; its answer is as long as was asked for, or an
error. Errors name the URL without its query, the range, and the cause.
"""

from __future__ import annotations

import asyncio
import io
import random
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from multiprocessing import context
from pathlib import Path
from typing import Any, Self

from atlas_ds.errors import AtlasError, DatasetChanged, LimitError, StoreError, UnsupportedError
from atlas_ds.store import storage_options
from atlas_ds.store.causes import ALLOW_HTTP, BUSY, CURES, FINAL, FINAL_KINDS, FINAL_WORDS, cause_of, said_in, status_of
from atlas_ds.store.clients import Root, client_of
from atlas_ds.store.helper import elsewhere, helper, where_it_works
from atlas_ds.store.loop import loop
from atlas_ds.store.paths import clean
from atlas_ds.store.pieces import Pieces
from atlas_ds.store.reading import UrlStore
from atlas_ds.store.storage_options import FIRST_WAIT, LONGEST_WAIT, SLOWEST, UrlOptions
from atlas_ds.store.store import Bytes, FileInfo, Want, checked_name, place_of

PROBE = ".atlas-probe"  # a file by which a writer finds out what a store can do; it stays, and is not listed


def split_url(url: str) -> tuple[Root, str]:
    """(root, prefix) of a URL. ValueError for one with credentials, a query or no host; UnsupportedError for a scheme that obstore does not have."""
    parts = urllib.parse.urlsplit(url)
    family = storage_options.family_of(parts.scheme)
    shown = clean(url)
    if family is None:
        raise UnsupportedError(f"{shown}: no store for {parts.scheme}:// is known")
    if parts.password is not None or (parts.username is not None and family != "az"):
        raise ValueError(f"{shown}: a URL with credentials is refused, since URLs are shown and logged: use storage_options, or the environment")
    if parts.query or parts.fragment:
        raise ValueError(f"{shown}: has a query or a fragment, which the URL of a folder cannot have; leave it out")
    if not parts.netloc:
        raise ValueError(f"{shown}: names no {'host' if family == 'http' else 'bucket'}")
    path = urllib.parse.unquote(parts.path) if family == "http" else parts.path
    return Root(family, f"{parts.scheme.lower()}://{parts.netloc}"), "/".join(part for part in path.split("/") if part)


class ObjectReader(UrlStore):
    """See store.py for what each method promises. What writes is in object.py."""

    def __init__(self, url: str, options: Mapping[str, Any] | UrlOptions | None = None) -> None:
        self.root, self.prefix = split_url(url)
        self.url = clean(url).rstrip("/")
        self.folder: Path | None = None
        self.options = options if isinstance(options, UrlOptions) else storage_options.checked(self.root.family, options, self.url)
        if self.root.url.startswith("http:") and not self.options.client.get("allow_http"):
            why = "http is not encrypted (no TLS), and anyone on the way can read and change the data"
            raise AtlasError(f"{self.url}: {why}: write https://, or {ALLOW_HTTP}")
        self.client = client_of(self.root, self.options, self.url)

    def __reduce__(self) -> tuple[Any, ...]:
        """Secrets go only to a process that this one is starting at the moment."""
        spawning = context.get_spawning_popen() is not None
        return type(self), (self.url, self.options if spawning else storage_options.without_secrets(self.options))

    def _path(self, name: str) -> str:
        return self._begin + checked_name(name)

    @property
    def retries(self) -> int:
        return self.client.retries

    # --- requests ---

    def _ask(self, place: str, what: str, once: Callable[[], Awaitable[Any]], size: int = 0) -> Any:
        """Waits for one request. size: bytes that it moves."""
        self.client.get()
        return loop.call(self._tried(place, what, once, size))

    async def _tried(self, place: str, what: str, once: Callable[[], Awaitable[Any]], size: int = 0) -> Any:
        """One request, tried again until its budget of time is spent; waiting for a turn spends none of it. size: bytes that are asked for."""
        left = self.options.timeout + size / SLOWEST
        wait = FIRST_WAIT
        while True:
            begin = time.monotonic()
            try:
                async with self.client.turns:
                    begin = time.monotonic()
                    async with asyncio.timeout(max(left, 0.001)):  # wait_for would make a task of its own
                        return await once()
            except Exception as error:
                left -= time.monotonic() - begin
                final = self._final(place, what, error)
                if final is error:
                    raise
                if final is not None:
                    raise final from None  # its text says the cause; the whole answer may have secrets
                pause = wait * random.uniform(0.5, 1.5)
                if pause >= left:
                    raise self._failed(place, what, error) from None
                if status_of(error) in BUSY or "SlowDown" in said_in(error):
                    self.client.turns.slow_down()
            self.client.retries += 1
            await asyncio.sleep(pause)
            left -= pause
            wait = min(2 * wait, LONGEST_WAIT)

    def _final(self, place: str, what: str, error: Exception) -> Exception | None:
        """The error to raise at once; None if another try may do better."""
        kind, text = type(error).__name__, str(error)
        if isinstance(error, AtlasError):
            return error
        if isinstance(error, FileNotFoundError) or kind == "NotFoundError":
            if "NoSuchBucket" in text:
                return self._failed(place, what, error)
            return FileNotFoundError(f"{place}: file not found")
        if kind == "PreconditionError":
            return DatasetChanged(f"{place}: was replaced by another file after it was opened; open the dataset again")
        if status_of(error) == 416 or "InvalidRange" in said_in(error):
            return DatasetChanged(f"{place}: {what}: the file ends earlier; it was truncated or replaced: open the dataset again")
        if kind in FINAL_KINDS or status_of(error) in FINAL or FINAL_WORDS.search(said_in(error)):
            return self._failed(place, what, error)
        return None

    def _failed(self, place: str, what: str, error: Exception) -> StoreError:
        why = cause_of(error, self.options.query)
        said = said_in(error) + (" no credentials" if "169.254.16" in str(error) else "")
        cure = next((cure for words, cure in CURES if words.search(said)), "check the address, your access and the network")
        if isinstance(error, TimeoutError):
            why, cure = f"no answer within {self.options.timeout:g} s", 'check the network, or pass storage_options={"timeout": seconds}'
        return StoreError(f"{place}: {what}: {why}; {cure}")

    async def _get(self, name: str, place: str, what: str, size: int, **options: Any) -> tuple[Any, Any]:
        """(meta, bytes) of a file or a part of it."""
        path = self._path(name)

        async def once() -> tuple[Any, Any]:
            result = await self.client.obstore.get_async(self.client.get(), path, options=options or None)
            refuse_encoding(result, place)
            return result.meta, await result.bytes_async()

        found: tuple[Any, Any] = await self._tried(place, what, once, size)
        return found

    async def range(self, want: Want) -> Bytes:
        place = place_of(self, want.name)
        if want.size == 0:
            return b""
        what = f"bytes {want.offset} to {want.offset + want.size - 1} cannot be read"
        if not want.version:  # one call instead of two; what is wrong with the answer, if its length is, the other way says
            path = self._path(want.name)

            async def once() -> Any:
                return await self.client.obstore.get_range_async(self.client.get(), path, start=want.offset, length=want.size)

            found = await self._tried(place, what, once, want.size)
            if len(found) == want.size:
                return memoryview(found)
        options: dict[str, Any] = {"range": (want.offset, want.offset + want.size)}
        if want.version.startswith('"'):
            options["if_match"] = want.version
        meta, data = await self._get(want.name, place, what, want.size, **options)
        if want.version and version_of(meta) != want.version:  # not each server looks at If-Match
            raise DatasetChanged(f"{place}: was replaced by another file after it was opened; open the dataset again")
        if len(data) != want.size:
            why = f"byte {want.offset}: {want.size:,} bytes were asked for, {len(data):,} came"
            raise DatasetChanged(f"{place}: {why}; the file was truncated or replaced: open the dataset again")
        view: Bytes = memoryview(data)
        return view

    # --- reading ---

    @where_it_works
    def info(self, name: str) -> FileInfo:
        path, place = self._path(name), place_of(self, name)

        async def once() -> Any:
            if self.options.query:
                return await self._seen_by_get(path)
            return await self.client.obstore.head_async(self.client.get(), path)

        meta = self._ask(place, "cannot be looked up", once)
        return FileInfo(name, int(meta["size"]), version_of(meta))

    async def _seen_by_get(self, path: str) -> Any:
        """What an answer says of a file whose URL is presigned, which it is for one method."""
        get, client = self.client.obstore.get_async, self.client.get()
        try:
            result = await get(client, path, options={"range": (0, 1)})
            await result.bytes_async()  # so that the connection can be used again
        except Exception as error:
            if status_of(error) != 416:
                raise
            result = await get(client, path)  # it is empty
        return result.meta

    @where_it_works
    def listed(self, prefix: str) -> Sequence[FileInfo]:
        self._refuse_listing()
        folder, _, _ = prefix.rpartition("/")  # obstore lists whole folders
        path = self._begin + folder if folder else self.prefix
        self.client.get()
        found: Any = loop.call(self._pages(path, place_of(self, prefix or None)))
        files = [FileInfo(one["path"].removeprefix(self._begin), int(one["size"]), version_of(one)) for one in found if one["path"].startswith(self._begin)]
        return sorted(file for file in files if file.name.startswith(prefix) and file.name.rpartition("/")[2] != PROBE)

    async def _pages(self, path: str, place: str) -> Any:
        """What is below a path. Each page has a budget of time; a list that breaks off is continued after the last name."""
        found: Any = []
        pages: Any = None

        async def once() -> Any:
            nonlocal pages
            if pages is None:
                after = found[-1]["path"] if found else None
                pages = aiter(self.client.obstore.list(self.client.get(), path or None, offset=after))
            try:
                return await anext(pages, None)
            except BaseException:
                pages = None
                raise

        while (page := await self._tried(place, "cannot be listed", once)) is not None:
            found += page
        return found

    @where_it_works
    def top(self) -> Sequence[str]:
        self._refuse_listing()

        async def once() -> Any:
            return await self.client.obstore.list_with_delimiter_async(self.client.get(), self.prefix or None)

        found = self._ask(self.url, "cannot be listed", once)
        names = [one["path"].removeprefix(self._begin) for one in found["objects"] if one["path"].startswith(self._begin)]
        names = [name for name in names if name != PROBE]
        return names + [prefix.removeprefix(self._begin).rstrip("/") + "/" for prefix in found["common_prefixes"]]

    @property
    def _begin(self) -> str:
        """What the paths of all files begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    def _refuse_listing(self) -> None:
        if self.root.family == "http":
            raise UnsupportedError(f"{self.url}: HTTP has no lists of files: name each file, or read it from a store that can list")

    @where_it_works
    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        path, place = self._path(name), place_of(self, name)

        async def once() -> tuple[bytes, str]:
            result = await self.client.obstore.get_async(self.client.get(), path)
            refuse_encoding(result, place)
            size = int(result.meta["size"])
            if size > limit:
                raise LimitError(f"{place}: has {size:,} bytes, and at most {limit:,} are read")
            return bytes(await result.bytes_async()), version_of(result.meta)

        found: tuple[bytes, str] = self._ask(place, "cannot be read", once)
        return found

    @where_it_works
    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        file = self.info(name)
        start = max(0, file.size - size)
        return bytes(loop.call(self.range(Want(name, start, file.size - start, file.version)))), file

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        if elsewhere(self):
            return helper.ranges(self, wants)
        self.client.get()
        return loop.each([partial(self.range, want) for want in wants])

    def begin(self, wants: Sequence[Want], done: Callable[[int, Bytes | Exception], None]) -> None:
        """Reads ranges without waiting for them: calls done with the number of each, and its bytes or its error, in another thread."""
        self.client.get()
        for number, want in enumerate(wants):
            loop.begin(self.range(want), partial(done, number))

    def stream(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(Pieces(self, self.info(name)), 1 << 16)

    def inside(self, prefix: str) -> Self:
        return self.at(self._path(prefix))

    def at(self, prefix: str) -> Self:
        """The store of another prefix below the same root, by the same client."""
        view = type(self).__new__(type(self))  # not a copy: that would leave out what pickles do
        view.root, view.options, view.client, view.folder = self.root, self.options, self.client, None
        shown = urllib.parse.quote(prefix) if self.root.family == "http" else prefix
        view.prefix, view.url = prefix, f"{self.root.url}/{shown}" if prefix else self.root.url
        return view


def version_of(meta: Mapping[str, Any]) -> str:
    """A strong ETag, or else what is known of the file: its weak tag, size and time of change."""
    tag = meta.get("e_tag")
    if tag and not tag.startswith("W/"):
        return tag if tag.startswith('"') else f'"{tag}"'  # in lists, Azure leaves the quotes out
    return f"{tag or ''}|{meta.get('size')}|{meta.get('last_modified')}"


def refuse_encoding(result: Any, place: str) -> None:
    encoding = result.attributes.get("Content-Encoding", "identity")
    if encoding not in ("", "identity", "aws-chunked"):
        raise AtlasError(f"{place}: the server sends it with Content-Encoding {encoding!r}, though nobody asked for it: store it without")
