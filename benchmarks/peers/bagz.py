"""Bagz with the shared codec: limits in memory, one thread (the fastest for cached files)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import bagz
import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers.codec import Codec
from benchmarks.schema import Example, Schema

SCANNED = 256


class Reader(BaseReader):
    """Reads records by index with read_indices for batches."""

    def __init__(self, path: Path, schema: Schema, compression: Any) -> None:
        options = bagz.Reader.Options(
            compression=compression,
            limits_storage=bagz.LimitsStorage.IN_MEMORY,
            max_parallelism=1,
        )
        self.bag = bagz.Reader(str(path), options)
        self.codec = Codec(schema)
        self._decode = self.codec.decode

    def __len__(self) -> int:
        return len(self.bag)

    def get(self, index: int) -> Example:
        return self._decode(self.bag[index])

    def get_many(self, indices: list[int]) -> list[Example]:
        return self.codec.examples(self.bag.read_indices(indices))

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return self.codec.columns(self.bag.read_indices(indices))

    def scan(self) -> Iterator[Example]:
        for records in self._ranges(SCANNED):
            yield from map(self._decode, records)

    def _ranges(self, size: int) -> Iterator[list[bytes]]:
        for start in range(0, len(self), size):
            yield self.bag.read_range(start, min(size, len(self) - start))

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        return map(self.codec.columns, self._ranges(size))


class Peer(BasePeer):
    """One shard, records compressed with zstd (level 3) or not at all."""

    package = "bagz"
    has_get_many = True

    def __init__(self, *, compress: bool = True) -> None:
        self.compression = bagz.CompressionZstd(level=3) if compress else bagz.CompressionNone()

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        encode = Codec(schema).encode
        options = bagz.Writer.Options()
        options.compression = self.compression
        with bagz.Writer(str(path), options) as writer:
            for example in examples:
                writer.write(encode(example))

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema, self.compression)
