"""Atlas itself, with its public interface only; written against the documented API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import atlas_ds
from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.schema import Example, Schema


class Reader(BaseReader):
    """One dataset that copies and one that gives views."""

    def __init__(self, path: Path) -> None:
        self.data = atlas_ds.AtlasDataset(str(path), copy=True)
        self.path = str(path)
        self._views: Any = None

    def __len__(self) -> int:
        return len(self.data)

    def get(self, index: int) -> Example:
        return self.data[index]

    def get_many(self, indices: list[int]) -> list[Example]:
        return self.data.__getitems__(indices)

    def view(self, index: int) -> Example:
        if self._views is None:
            self._views = atlas_ds.AtlasDataset(self.path, copy=False)
        return self._views[index]

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return self.data.batch(indices)

    def scan(self) -> Iterator[Example]:
        return iter(self.data)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.data), size):
            yield self.data.batch(np.arange(start, min(start + size, len(self.data))))

    def close(self) -> None:
        self.data = self._views = None


class Peer(BasePeer):
    """options: of the writer, such as access and compression."""

    package = "atlas_ds"
    has_view = True
    has_get_many = True

    def __init__(self, **options: Any) -> None:
        self.options = options

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        with atlas_ds.AtlasDatasetWriter(str(path), **self.options) as writer:
            for example in examples:
                writer.add_example(example)

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path)
