"""Parquet through pyarrow with zstd: size, writing and scanning only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

from benchmarks.peers import RANDOM, BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers import columns as arrow
from benchmarks.schema import Example, Schema


class Reader(BaseReader):
    """Streams record batches."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.file = parquet.ParquetFile(path, memory_map=True)
        self.schema = schema

    def __len__(self) -> int:
        return self.file.metadata.num_rows

    def get(self, index: int) -> Example:
        raise NotImplementedError

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        raise NotImplementedError

    def scan(self) -> Iterator[Example]:
        for data in self.scan_batches(1024):
            yield from arrow.rows(data, self.schema)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        for part in self.file.iter_batches(batch_size=size):
            yield arrow.columns(part, self.schema)

    def close(self) -> None:
        self.file.close()


class Peer(BasePeer):
    """zstd at its default level, the row groups of the package's default."""

    package = "pyarrow"
    skipped = RANDOM

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        kind = arrow.arrow_schema(schema)
        with parquet.ParquetWriter(path, kind, compression="zstd") as writer:
            for batch in arrow.batches(examples, schema, rows=10_000):
                writer.write_batch(batch)

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
