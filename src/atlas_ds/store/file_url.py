"""The URL of one file, such as a tar, which may be presigned: what may be shown of it, and how it is read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from atlas_ds.store.paths import clean
from atlas_ds.store.store import FileInfo, Want

if TYPE_CHECKING:
    from atlas_ds.store.object import ObjectStore


class FileUrl(str):
    """Its text is the URL without its query: an error, a log or an index that has the text has no secret. Those with different queries differ."""

    store: ObjectStore
    name: str

    @classmethod
    def of(cls, url: str, options: Mapping[str, Any] | None = None) -> Self:
        """options: storage_options. AtlasError for http without TLS that is not allowed, ValueError for a URL with credentials, or of no file."""
        from atlas_ds.store.object import store_of_file  # here, because it imports asyncio, which takes as long as all of Atlas

        return cls.made(clean(url), *store_of_file(url, options))

    @classmethod
    def made(cls, text: str, store: ObjectStore, name: str) -> Self:
        one = cls(text)
        one.store, one.name = store, name
        return one

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made, (str(self), self.store, self.name)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and self.store.options.query == (other.store.options.query if isinstance(other, FileUrl) else "")

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    @property
    def has_query(self) -> bool:
        return self.store.options.query != ""

    def info(self) -> FileInfo:
        return self.store.info(self.name)

    def stream(self) -> io.BufferedReader:
        return self.store.stream(self.name)

    def read(self, offset: int, size: int, version: str = "") -> bytes:
        """A range, in one request. version: DatasetChanged if the file has another one by now."""
        ((_, answer),) = self.store.read_ranges([Want(self.name, offset, size, version)])
        if isinstance(answer, Exception):
            raise answer
        return bytes(answer)


def file_urls(urls: Iterable[str], options: Mapping[str, Any] | None = None) -> Iterator[FileUrl]:
    """FileUrl.of for many, quickly: those of a folder share its store."""
    stores: dict[str, ObjectStore] = {}
    for url in urls:
        folder, _, name = url.rpartition("/")
        store = stores.get(folder)
        if store is None or not name or set(name) & set("?#%"):
            one = FileUrl.of(url, options)
            if not one.has_query:
                stores[folder] = one.store
        else:
            one = FileUrl.made(url, store, name)
        yield one
