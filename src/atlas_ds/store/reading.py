"""What stores that only read have in common, beside the streams of pieces.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from types import EllipsisType
from typing import Never

from atlas_ds.errors import UnsupportedError
from atlas_ds.store.store import Bytes, FileInfo, Log, NewFile


class ReadOnly:
    """The methods of a store that write: an error each."""

    url: str

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
