"""Files behind URLs (http, s3, gs, azure), through obstore, which only this file imports. It knows no format.

Credentials come from where each service's tools look: the environment, configuration files, the machine's role. Without allow_http every connection
uses TLS, also those of an endpoint from the environment, or of a redirect.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from atlas_ds.errors import AtlasError, TruncatedError

CHUNK = 4 << 20
NOT_ALLOWED = ("builder error", "error following redirect")  # what obstore says where a connection would be without TLS


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as a server described it. version: its ETag, or else the time it was last changed."""

    url: str
    size: int
    version: str
    allow_http: bool = False

    def open(self) -> io.BufferedReader:
        """Returns its bytes as a file that is read once, forward."""
        obstore, store, name = store_for(self.url, self.allow_http)
        with wrapped_errors(self.url):
            chunks = obstore.get(store, name).stream(min_chunk_size=CHUNK)
        return io.BufferedReader(Chunks(iter(chunks), self), 1 << 16)

    def read(self, start: int, size: int) -> bytes:
        """Returns a range of its bytes, in one request. TruncatedError if the server has fewer now."""
        obstore, store, name = store_for(self.url, self.allow_http)
        with wrapped_errors(self.url):
            data = bytes(obstore.get_range(store, name, start=start, length=size))
        if len(data) != size:
            raise TruncatedError(f"{self.url}: byte {start}: requested {size:,} bytes, got {len(data):,}; has the file changed?")
        return data


def look_up(url: str, allow_http: bool = False) -> RemoteFile:
    """Asks the server for the size and version of a file. FileNotFoundError if it does not exist; other refusals are AtlasError.

    allow_http: whether the connection may be without TLS."""
    obstore, store, name = store_for(url, allow_http)
    with wrapped_errors(url):
        meta = obstore.head(store, name)
    return RemoteFile(url, int(meta["size"]), str(meta["e_tag"] or meta["last_modified"]), allow_http)


def check_scheme(url: str, allow_http: bool) -> None:
    """AtlasError for a URL of http without TLS, unless that is allowed."""
    if not allow_http and url[:5].lower() == "http:":
        why = "whoever is on the way can read and change what is fetched"
        raise AtlasError(f"{url}: http is not protected (no TLS): {why}; write https://, or pass allow_http=True (--allow-http) if you trust the network")


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
    """Names the URL, in one line, in errors of obstore."""

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
    """The chunks of a download, as a file that is read forward."""

    def __init__(self, chunks: Iterator[Any], file: RemoteFile) -> None:
        self._chunks, self._file = chunks, file
        self._rest = memoryview(b"")
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            with wrapped_errors(self._file.url):
                chunk = next(self._chunks, None)
            if chunk is None:
                if self._given != self._file.size:
                    raise TruncatedError(f"{self._file.url}: byte {self._given}: the download ended early, of {self._file.size:,} bytes; try again")
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        self._given += size
        return size

