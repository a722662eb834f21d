"""What the stores at URLs have in common: object.py and fsspec_store.py say how each request is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import EllipsisType
from typing import Never, Self

from atlas_ds.errors import UnsupportedError
from atlas_ds.store.store import Bytes, FileInfo, Log, NewFile


class UrlStore(ABC):
    """Reads files at a URL. Writing is an error."""

    url: str
    far = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    @abstractmethod
    def retries(self) -> int:
        """Requests of this process to the root that were tried again."""

    @abstractmethod
    def info(self, name: str) -> FileInfo: ...

    @abstractmethod
    def listed(self, prefix: str) -> Sequence[FileInfo]:
        """What `list` yields."""

    @abstractmethod
    def top(self) -> Sequence[str]:
        """What `entries` yields."""

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        return iter(self.listed(prefix))

    def entries(self) -> Iterator[str]:
        return iter(self.top())

    def is_plain(self, name: str, size: int | None = None) -> bool:
        try:
            found = self.info(name)
        except FileNotFoundError:
            return False
        return size in (None, found.size)

    # --- writing, which this version does not ---

    def _read_only(self) -> Never:
        raise UnsupportedError(f"{self.url}: what fsspec reads is not written to: write to a folder and copy it there, or to S3, GCS or Azure")

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
