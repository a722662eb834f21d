"""Lance in its stable file version: take() for rows and batches, to_batches() for scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import lance
import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers import columns as arrow
from benchmarks.schema import Example, Schema


class Reader(BaseReader):
    """Batches are taken in increasing order, which is faster, then put in the wanted one."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.data = lance.dataset(str(path))
        self.schema = schema
        self.count = self.data.count_rows()

    def __len__(self) -> int:
        return self.count

    def get(self, index: int) -> Example:
        return arrow.first(self.data.take([index]), self.schema)

    def get_many(self, indices: list[int]) -> list[Example]:
        return list(arrow.rows(self.batch(np.array(indices)), self.schema))

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        unique, inverse = arrow.ordered(indices)
        table = self.data.take(unique.tolist())
        return arrow.reorder(arrow.columns(table, self.schema), inverse)

    def scan(self) -> Iterator[Example]:
        for data in self.scan_batches(1024):
            yield from arrow.rows(data, self.schema)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        for part in self.data.to_batches(batch_size=size):
            yield arrow.columns(part, self.schema)


class Peer(BasePeer):
    """A folder written in one go."""

    package = "pylance"
    has_get_many = True
    start_method = "forkserver"

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        lance.write_dataset(arrow.reader(examples, schema), str(path))

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
