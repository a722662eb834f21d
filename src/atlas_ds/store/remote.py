"""Files at URLs (http, s3, gs, azure), read through obstore, which only this file imports. It reads
bytes by name and is independent of formats.

Credentials come from where each service's own tools look: the environment, their files, the
machine's role. Without allow_http every request uses TLS: for URLs, for endpoints set in the
environment, and for redirects.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from atlas_ds.errors import AtlasError, TruncatedError

CHUNK = 4 << 20
NOT_ALLOWED = ("builder error", "error following redirect")  # obstore's messages if a connection would be without TLS


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the server described it. version: its ETag, or else its time of last
    modification."""

    url: str
    size: int
    version: str
    allow_http: bool = False

    def open(self) -> io.BufferedReader:
        """A stream of its bytes from the beginning."""
        obstore, store, name = store_for(self.url, self.allow_http)
        with wrapped_errors(self.url):
            chunks = obstore.get(store, name).stream(min_chunk_size=CHUNK)
        return io.BufferedReader(Chunks(iter(chunks), self), 1 << 16)

    def read(self, start: int, size: int) -> bytes:
        """A range of its bytes, in one request. TruncatedError if the server returns fewer."""
        obstore, store, name = store_for(self.url, self.allow_http)
        with wrapped_errors(self.url):
            data = bytes(obstore.get_range(store, name, start=start, length=size))
        if len(data) != size:
            raise TruncatedError(f"{self.url}: byte {start}: {size:,} bytes were requested, {len(data):,} received; has the file changed?")
        return data


def look_up(url: str, allow_http: bool = False) -> RemoteFile:
    """Requests a file's size and version from the server. FileNotFoundError if it does not exist;
    AtlasError for any other failure.

    allow_http: whether the connection may be without TLS.
    """
    obstore, store, name = store_for(url, allow_http)
    with wrapped_errors(url):
        meta = obstore.head(store, name)
    return RemoteFile(url, int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]), allow_http)


def check_scheme(url: str, allow_http: bool) -> None:
    """AtlasError for an http URL without TLS, unless allow_http is set."""
    if not allow_http and url[:5].lower() == "http:":
        why = "anyone on the network path can read and change the data"
        raise AtlasError(f"{url}: http is not encrypted (no TLS): {why}; write https://, or pass allow_http=True (--allow-http) if you trust the network")


def store_for(url: str, allow_http: bool) -> tuple[ModuleType, Any, str]:
    """(obstore, the store of a URL's folder, the file's name in it)."""
    check_scheme(url, allow_http)
    try:
        import obstore
        from obstore.store import from_url
    except ImportError as error:
        raise AtlasError(f"{url}: reading URLs needs obstore; install it: pip install 'atlas-ds[remote]'") from error
    folder, _, name = url.rpartition("/")
    with wrapped_errors(url):
        return obstore, from_url(folder, client_options={"allow_http": allow_http}), name


class wrapped_errors:
    """Turns errors of obstore into one-line errors that name the URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, AtlasError | KeyboardInterrupt):
            return
        why = str(error).split("\n", 1)[0]
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{self._url}: not found: {why}") from error
        if any(words in why for words in NOT_ALLOWED):
            cure = "perhaps its endpoint or a redirect is http without TLS; if you trust the network, pass allow_http=True (--allow-http)"
            raise AtlasError(f"{self._url}: cannot be read: {why}; {cure}") from error
        raise AtlasError(f"{self._url}: cannot be read: {why}; check the address, your access and the network") from error


class Chunks(io.RawIOBase):
    """The chunks of a download, as a file that is read sequentially."""

    def __init__(self, chunks: Iterator[Any], file: RemoteFile) -> None:
        self._chunks, self._file = chunks, file
        self._rest = memoryview(b"")
        self._returned = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            with wrapped_errors(self._file.url):
                chunk = next(self._chunks, None)
            if chunk is None:
                if self._returned != self._file.size:
                    where = f"{self._file.url}: byte {self._returned}"
                    raise TruncatedError(f"{where}: the download ended early; the file has {self._file.size:,} bytes; try again")
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._returned += size
        return size

