"""Vortex: memory-mapped file; a prepared scan for one row, sorted indices for a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import vortex

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers import columns as arrow
from benchmarks.schema import Example, Schema


class Reader(BaseReader):
    """Rows come as Arrow arrays and are turned into NumPy arrays and Python values."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.file = vortex.open(str(path), memory_map=True)
        self.schema = schema
        vortex.set_worker_threads(0)  # faster for random rows; scans use the default
        self._one = self.file.to_repeated_scan()

    def __len__(self) -> int:
        return len(self.file)

    def get(self, index: int) -> Example:
        if not self.schema.fixed:
            return self._one.scalar_at(index).as_py()
        found = self._one.execute(row_range=(index, index + 1)).read_all()
        return arrow.first(found.to_arrow_array(), self.schema)

    def get_many(self, indices: list[int]) -> list[Example]:
        return list(arrow.rows(self.batch(np.array(indices)), self.schema))

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        unique, inverse = arrow.ordered(indices)
        wanted = vortex.array(pa.array(unique.astype(np.uint64)))
        table = self.file.to_arrow(indices=wanted).read_all()
        return arrow.reorder(arrow.columns(table, self.schema), inverse)

    def scan(self) -> Iterator[Example]:
        for data in self.scan_batches(1024):
            yield from arrow.rows(data, self.schema)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        vortex.set_worker_threads(None)
        try:
            for part in self.file.to_arrow(batch_size=size):
                yield arrow.columns(part, self.schema)
        finally:
            vortex.set_worker_threads(0)


class Peer(BasePeer):
    """`compact` prefers small files."""

    package = "vortex-data"
    has_get_many = True
    start_method = "forkserver"

    def __init__(self, *, compact: bool = False) -> None:
        options = vortex.io.VortexWriteOptions
        self._options = options.compact if compact else options.default

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        vortex.set_worker_threads(None)
        self._options().write(arrow.reader(examples, schema), str(path))

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
