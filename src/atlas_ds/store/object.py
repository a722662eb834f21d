"""A store at a URL: S3 and what speaks like it, GCS, Azure, HTTP(S), through obstore, which only this file and remote.py import.

One client per root and process. Each request has a budget of time, in which it is tried again; its answer is as long as was asked for, or an
error. Errors name the URL without its query, the range, and the cause.
"""

from __future__ import annotations

import asyncio
import collections
import io
import itertools
import os
import random
import re
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from multiprocessing import context
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple, Never, Self, cast

from atlas_ds.errors import AtlasError, DatasetChanged, LimitError, UnsupportedError
from atlas_ds.forks import in_child
from atlas_ds.store import storage_options
from atlas_ds.store.filling import MAX_REQUESTS
from atlas_ds.store.helper import forked, helper
from atlas_ds.store.loop import loop
from atlas_ds.store.storage_options import StorageOptions
from atlas_ds.store.store import Bytes, FileInfo, Log, NewFile, Want, checked_name

CONNECT = "5s"
STALL = "20s"  # without a byte
WHOLE = "1h"  # obstore's own limit for a request, which would cut large ones on a slow link; the budget is ours
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds before the second try, and before a later one
CHUNK = 4 << 20
# Words of obstore's texts, for causes that have no class of their own, and what to do.
ALLOW_HTTP = 'pass storage_options={"allow_http": True} if you trust the network'
CURES = tuple(
    (re.compile(words, re.I | re.S), cure)
    for words, cure in {
        "RequestTimeTooSkewed|skew": "the clock of this machine is wrong: set it",
        "ExpiredToken|token.{0,40}expired": "the session token has expired: get a new one",
        "Request has expired|AuthenticationFailed.{0,200}expired": "the presigned URL has expired: get a new one",
        "InvalidAccessKeyId|SignatureDoesNotMatch": "the key or the secret is wrong",
        "NoSuchBucket|bucket.{0,30}(not found|not exist)": "the bucket does not exist: check its name, and the region",
        "builder error|URL scheme is not allowed|error following redirect": f"its endpoint or a redirect is http without TLS: {ALLOW_HTTP}",
        r"169\.254\.16|metadata|credential|Missing.{0,20}(key|token)": "no credentials were found: set them in the environment or in "
        "storage_options, or pass anon=True there for public data",
        "PermanentRedirect|301": "it is in another region: pass storage_options={'region': ...}",
    }.items()
)
BUSY = re.compile(r"\b(429|503)\b|SlowDown|TooManyRequests", re.I)
FINAL = re.compile(r"\b(301|307|400|401|403|404|405|410|411|412|416|501)\b|builder error|URL scheme is not allowed|following redirect|NoSuchBucket", re.I)


class Root(NamedTuple):
    """Where a client begins. family: "s3", "gs", "az" or "http"; url: of the bucket, the container or the host."""

    family: str
    url: str


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
        raise ValueError(f"{shown}: has a query or a fragment, and names a folder of several files; leave it out")
    if not parts.netloc:
        raise ValueError(f"{shown}: names no {'host' if family == 'http' else 'bucket'}")
    path = urllib.parse.unquote(parts.path) if family == "http" else parts.path
    return Root(family, f"{parts.scheme.lower()}://{parts.netloc}"), "/".join(part for part in path.split("/") if part)


def clean(url: str) -> str:
    """A URL as it may be shown: without credentials and query."""
    scheme, mark, rest = url.partition("://")
    rest = rest.partition("?")[0].partition("#")[0]
    host, slash, path = rest.partition("/")
    user, at, name = host.rpartition("@")
    return f"{scheme}{mark}{user.partition(':')[0] + at if at and ':' not in user else ''}{name}{slash}{path}"


class ObjectStore:
    """See store.py for what each method promises. This version reads."""

    def __init__(self, url: str, options: Mapping[str, Any] | StorageOptions | None = None) -> None:
        self.root, self.prefix = split_url(url)
        self.url = clean(url).rstrip("/")
        self.folder: Path | None = None
        self.options = options if isinstance(options, StorageOptions) else storage_options.checked(self.root.family, options, self.url)
        if self.root.url.startswith("http:") and not self.options.client.get("allow_http"):
            why = "http is not encrypted (no TLS), and anyone on the way can read and change the data"
            raise AtlasError(f"{self.url}: {why}: write https://, or {ALLOW_HTTP}")
        self.clients = Clients(self.root, self.options, self.url)

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Secrets go only to a process that this one is starting at the moment."""
        spawning = context.get_spawning_popen() is not None
        return type(self), (self.url, self.options if spawning else storage_options.without_secrets(self.options))

    @property
    def root_url(self) -> str:
        return self.root.url

    @property
    def number(self) -> int:
        return self.clients.number

    def place(self, name: str) -> str:
        """How errors name a file."""
        return f"{self.url}/{name}"

    def _path(self, name: str) -> str:
        return f"{self.prefix}/{checked_name(name)}" if self.prefix else checked_name(name)

    # --- requests ---

    async def _tried(self, place: str, what: str, once: Callable[[], Awaitable[Any]]) -> Any:
        """One request, tried again until its budget of time is spent."""
        end = time.monotonic() + self.options.timeout
        wait = FIRST_WAIT
        while True:
            try:
                return await asyncio.wait_for(once(), max(end - time.monotonic(), 0.001))
            except Exception as error:
                final = self._final(place, what, error)
                if final is not None:
                    raise final from error
                pause = wait * random.uniform(0.5, 1.5)
                if time.monotonic() + pause >= end:
                    raise self._failed(place, what, error) from error
                if BUSY.search(str(error)):
                    self.clients.slow_down()
            await asyncio.sleep(pause)
            wait = min(2 * wait, LONGEST_WAIT)

    def _final(self, place: str, what: str, error: Exception) -> Exception | None:
        """The error to raise at once; None if another try may do better."""
        kind, text = type(error).__name__, str(error)
        if isinstance(error, AtlasError):
            return error
        if isinstance(error, FileNotFoundError) or kind == "NotFoundError":
            if re.search(r"NoSuchBucket", text):
                return self._failed(place, what, error)
            return FileNotFoundError(f"{place}: file not found")
        if kind == "PreconditionError":
            return DatasetChanged(f"{place}: was replaced by another file after it was opened; open the dataset again")
        if kind in ("PermissionDeniedError", "UnauthenticatedError", "NotSupportedError", "InvalidPathError") or FINAL.search(text):
            return self._failed(place, what, error)
        return None

    def _failed(self, place: str, what: str, error: Exception) -> AtlasError:
        why = cause_of(error)
        cure = next((cure for words, cure in CURES if words.search(str(error))), "check the address, your access and the network")
        if isinstance(error, TimeoutError):
            why, cure = f"no answer within {self.options.timeout:g} s", 'check the network, or pass storage_options={"timeout": seconds}'
        return AtlasError(f"{place}: {what}: {why}; {cure}")

    async def _get(self, name: str, place: str, what: str, **options: Any) -> tuple[Any, Any]:
        """(meta, bytes) of a file or a part of it."""
        path = self._path(name)

        async def once() -> tuple[Any, Any]:
            async with self.clients.turn():
                client = self.clients.client()
                result = await self.clients.obstore.get_async(client, path, options=options or None)
                encoding = result.attributes.get("Content-Encoding", "identity")
                if encoding not in ("", "identity", "aws-chunked"):
                    raise AtlasError(f"{place}: the server sends it with Content-Encoding {encoding!r}, though nobody asked for it: store it without")
                return result.meta, await result.bytes_async()

        found: tuple[Any, Any] = await self._tried(place, what, once)
        return found

    async def range(self, want: Want) -> Bytes:
        place = self.place(want.name)
        if want.size == 0:
            return b""
        what = f"bytes {want.offset} to {want.offset + want.size - 1} cannot be read"
        options: dict[str, Any] = {"range": (want.offset, want.offset + want.size)}
        if want.version.startswith('"'):
            options["if_match"] = want.version
        try:
            meta, data = await self._get(want.name, place, what, **options)
        except AtlasError as error:
            if re.search(r"416|Range Not Satisfiable|InvalidRange", str(error)):
                raise DatasetChanged(f"{place}: {what}: the file ends earlier; it was truncated or replaced: open the dataset again") from error
            raise
        if want.version and version_of(meta) != want.version:  # not each server looks at If-Match
            raise DatasetChanged(f"{place}: was replaced by another file after it was opened; open the dataset again")
        if len(data) != want.size:
            why = f"byte {want.offset}: {want.size:,} bytes were asked for, {len(data):,} came"
            raise DatasetChanged(f"{place}: {why}; the file was truncated or replaced: open the dataset again")
        view: Bytes = memoryview(data)
        return view

    # --- reading ---

    def info(self, name: str) -> FileInfo:
        if forked.now:
            return cast("FileInfo", helper.call(self, "info", name))
        path, place = self._path(name), self.place(name)

        async def once() -> Any:
            async with self.clients.turn():
                return await self.clients.obstore.head_async(self.clients.client(), path)

        meta = loop.call(self._tried(place, "cannot be looked up", once))
        return FileInfo(name, int(meta["size"]), version_of(meta))

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        self._refuse_listing()
        if forked.now:
            return iter(helper.call(self, "list", prefix))
        begin = f"{self.prefix}/" if self.prefix else ""
        folder, _, _ = prefix.rpartition("/")  # obstore lists whole folders
        path = begin + folder if folder else self.prefix
        place = self.place(prefix) if prefix else self.url

        async def once() -> Any:
            found: list[Any] = []
            async for part in self.clients.obstore.list(self.clients.client(), path or None):
                found += part
            return found

        found = loop.call(self._tried(place, "cannot be listed", once))
        files = [FileInfo(one["path"].removeprefix(begin), int(one["size"]), version_of(one)) for one in found]
        return iter(sorted(file for file in files if file.name.startswith(prefix)))

    def entries(self) -> Iterator[str]:
        self._refuse_listing()
        if forked.now:
            return iter(helper.call(self, "entries"))

        async def once() -> Any:
            return await self.clients.obstore.list_with_delimiter_async(self.clients.client(), self.prefix or None)

        found = loop.call(self._tried(self.url, "cannot be listed", once))
        begin = f"{self.prefix}/" if self.prefix else ""
        names = [one["path"].removeprefix(begin) for one in found["objects"]]
        return iter(names + [prefix.removeprefix(begin).rstrip("/") + "/" for prefix in found["common_prefixes"]])

    def _refuse_listing(self) -> None:
        if self.root.family == "http":
            raise UnsupportedError(f"{self.url}: HTTP has no lists of files: name each file, or read it from a store that can list")

    def is_plain(self, name: str, size: int | None = None) -> bool:
        try:
            found = self.info(name)
        except FileNotFoundError:
            return False
        return size in (None, found.size)

    def read(self, name: str, *, limit: int, follow: bool = True) -> tuple[bytes, str]:
        if forked.now:
            return cast("tuple[bytes, str]", helper.call(self, "read", name, limit=limit))
        path, place = self._path(name), self.place(name)

        async def once() -> tuple[bytes, str]:
            async with self.clients.turn():
                result = await self.clients.obstore.get_async(self.clients.client(), path)
                size = int(result.meta["size"])
                if size > limit:
                    raise LimitError(f"{place}: has {size:,} bytes, and at most {limit:,} are read")
                return bytes(await result.bytes_async()), version_of(result.meta)

        data, version = loop.call(self._tried(place, "cannot be read", once))
        return data, version

    def read_tail(self, name: str, size: int) -> tuple[Bytes, FileInfo]:
        if forked.now:
            return cast("tuple[Bytes, FileInfo]", helper.call(self, "read_tail", name, size))
        file = self.info(name)
        start = max(0, file.size - size)
        data = loop.call(self.range(Want(name, start, file.size - start, file.version)))
        return data, file

    def read_ranges(self, wants: Sequence[Want]) -> Iterator[tuple[int, Bytes | Exception]]:
        if forked.now:
            return helper.ranges(self, wants)
        return loop.each([partial(self.range, want) for want in wants])

    def stream(self, name: str) -> io.BufferedReader:
        return io.BufferedReader(Pieces(self, self.info(name)), 1 << 16)

    def inside(self, prefix: str) -> Self:
        return self.at(f"{self.prefix}/{checked_name(prefix)}" if self.prefix else checked_name(prefix))

    def at(self, prefix: str) -> Self:
        """The store of another prefix below the same root, by the same client."""
        view = type(self).__new__(type(self))  # not a copy: that would leave out what pickles do
        view.root, view.options, view.clients, view.folder = self.root, self.options, self.clients, None
        view.prefix, view.url = prefix, f"{self.root.url}/{prefix}" if prefix else self.root.url
        return view

    # --- writing, which this version does not ---

    def _read_only(self) -> Never:
        raise UnsupportedError(f"{self.url}: this version reads datasets at URLs and does not write them: write to a folder, and copy it there")

    def new_file(self, label: str, mark: str | None = None) -> NewFile:
        self._read_only()

    def put(self, name: str, data: Bytes, *, expected: str | EllipsisType | None = ..., mark: str | None = None) -> str:
        self._read_only()

    def delete(self, names: Iterable[str]) -> None:
        self._read_only()

    def copy(self, name: str, to: str) -> None:
        self._read_only()

    def create(self) -> bool:
        self._read_only()

    def remove_if_empty(self) -> None:
        self._read_only()

    def lock(self) -> AbstractContextManager[None]:
        self._read_only()

    def new_log(self, name: str, begin: Callable[[bool], bytes], mark: str) -> Log:
        self._read_only()

    def is_held(self, name: str) -> bool | None:
        return None

    def sees_every_holder(self) -> bool:
        return False

    def unfinished(self) -> Iterator[FileInfo]:
        return iter(())

    def remove_unfinished(self, mark: str) -> None:
        self._read_only()


class Pieces(io.RawIOBase):
    """A file read from its beginning, some megabytes a request."""

    def __init__(self, store: ObjectStore, file: FileInfo) -> None:
        self._store, self._file = store, file
        self._at = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and self._at < self._file.size:
            size = min(CHUNK, self._file.size - self._at)
            ((_, answer),) = self._store.read_ranges([Want(self._file.name, self._at, size, self._file.version)])
            if isinstance(answer, Exception):
                raise answer
            self._rest = memoryview(answer).cast("B")
            self._at += size
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


numbers = itertools.count()


class Clients:
    """The client of a root, made when it is first needed, and how many requests may be under way."""

    def __init__(self, root: Root, options: StorageOptions, shown: str) -> None:
        self._root, self._options, self._shown = root, options, shown
        self.number = next(numbers)  # by which a helper knows it
        self._client: Any = None
        self._turns = Turns()
        in_child(self)

    def after_fork(self) -> None:
        self._client, self._turns = None, Turns()

    @property
    def obstore(self) -> Any:
        try:
            import obstore
        except ImportError as error:
            raise AtlasError(f"{self._shown}: reading URLs needs obstore; install it: pip install 'atlas-ds[remote]'") from error
        return obstore

    def client(self) -> Any:
        if self._client is None:
            self._client = self._make()
        return self._client

    def _make(self) -> Any:
        store = self.obstore.store
        trusting = self._root.family == "s3" and os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
        client = ({"allow_http": True} if trusting else {}) | {"connect_timeout": CONNECT, "read_timeout": STALL, "timeout": WHOLE} | self._options.client
        client["default_headers"] = {"Accept-Encoding": "identity"} | dict(client.get("default_headers") or {})
        same: dict[str, Any] = {"client_options": client, "retry_config": {"max_retries": 0}}
        if self._root.family == "http":
            return store.HTTPStore.from_url(self._root.url, **same)
        config = dict(self._options.config)
        if self._root.family == "s3" and not config.keys() & {"access_key_id", "skip_signature", "role_arn", "web_identity_token_file"}:
            provider = boto3_provider(self._options.profile)
            if provider is not None:
                same["credential_provider"] = provider
        return store.from_url(self._root.url, config=config, **same)

    def turn(self) -> Turns:
        return self._turns

    def slow_down(self) -> None:
        self._turns.slow_down()


def boto3_provider(profile: str | None) -> Any:
    """What finds credentials as the AWS tools do (profiles, single sign-on), where boto3 is installed and has some; else None.

    The environment's own keys need no help.
    """
    if profile is None and os.environ.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        if profile is None:
            return None
        raise AtlasError(f"storage_options: profile={profile!r} needs boto3; install it: pip install boto3") from error
    session = boto3.Session(profile_name=profile)
    return Boto3CredentialProvider(session) if session.get_credentials() is not None else None


class Turns:
    """`async with`: at most so many at a time; half as many after the server said that it is busy, and slowly more again. Of one event loop."""

    def __init__(self) -> None:
        self._most = float(MAX_REQUESTS)
        self._now = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._slowed = 0.0

    async def __aenter__(self) -> None:
        while self._now >= self._most:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise
        self._now += 1

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._now -= 1
        if kind is None:
            self._most = min(float(MAX_REQUESTS), self._most + 1 / self._most)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._now < self._most:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def slow_down(self) -> None:
        now = time.monotonic()
        if now - self._slowed > 1.0:  # many requests fail at once: they count once
            self._slowed, self._most = now, max(1.0, self._most / 2)


def version_of(meta: Mapping[str, Any]) -> str:
    """A strong ETag, or else what is known of the file: its weak tag, size and time of change."""
    tag = meta.get("e_tag")
    if tag and not tag.startswith("W/"):
        return tag if tag.startswith('"') else f'"{tag}"'  # in lists, Azure leaves the quotes out
    return f"{tag or ''}|{meta.get('size')}|{meta.get('last_modified')}"


def cause_of(error: BaseException) -> str:
    """What went wrong, in one line, without the query of a URL."""
    text = " ".join(str(error).partition("Debug source")[0].split())[:300] or type(error).__name__
    return re.sub(r"(https?://[^\s?\"]+)\?[^\s\"]*", r"\1", text)
