"""ArrayRecord with the shared codec: group size 1 for random reads, 16 for size and scans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module as module

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers.codec import Codec
from benchmarks.schema import Example, Schema

RANDOM_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
SMALL_BUFFER, LARGE_BUFFER = 4096, 32768


class Reader(BaseReader):
    """Random reads without read-ahead; scans with the default read-ahead of the package."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = str(path)
        self._large = any(field.kind == "bytes" for _, field in schema.leaves())
        buffer = LARGE_BUFFER if self._large else SMALL_BUFFER
        self.file = module.ArrayRecordReader(
            self.path, RANDOM_OPTIONS, file_reader_buffer_size=buffer
        )
        self.codec = Codec(schema)
        self._read, self._decode = self.file.read, self.codec.decode

    def __len__(self) -> int:
        return self.file.num_records()

    def get(self, index: int) -> Example:
        return self._decode(self._read(index, index + 1)[0])

    def get_many(self, indices: list[int]) -> list[Example]:
        return self.codec.examples(self._several(indices))

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return self.codec.columns(self._several(indices.tolist()))

    def _several(self, indices: list[int]) -> list[bytes]:
        if self._large:
            return self._read(indices)
        read = self._read  # for small records, ranges of one are faster than a list
        return [read(index, index + 1)[0] for index in indices]

    def _ranges(self, size: int) -> Iterator[list[bytes]]:
        file = module.ArrayRecordReader(self.path)
        for start in range(0, len(self), size):
            yield file.read(start, min(start + size, len(self)))
        file.close()

    def scan(self) -> Iterator[Example]:
        for records in self._ranges(1024):
            yield from map(self._decode, records)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        return map(self.codec.columns, self._ranges(size))

    def close(self) -> None:
        self.file.close()


class Peer(BasePeer):
    """One file; `codec` is "zstd:3" or "uncompressed"."""

    package = "array_record"
    has_get_many = True
    start_method = "forkserver"  # forked workers crash: the library has threads

    def __init__(self, *, group_size: int = 1, codec: str = "zstd:3") -> None:
        self.options = f"group_size:{group_size},{codec}"

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        encode = Codec(schema).encode
        writer = module.ArrayRecordWriter(str(path), self.options)
        for example in examples:
            writer.write(encode(example))
        writer.close()

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
