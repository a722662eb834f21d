"""NumPy memory maps, one file per column: the limit for rows of fixed size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.schema import Example, Schema


class Reader(BaseReader):
    """Rows are copied out of the map."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.ints: dict[str, np.ndarray] = {}
        for field in schema.fields:
            if field.kind == "array":
                flat = np.memmap(path / field.name, field.dtype, "r").view(np.ndarray)
                self.arrays[field.name] = flat.reshape(-1, *field.shape)
            else:
                flat = np.memmap(path / field.name, np.int64, "r").view(np.ndarray)
                self.ints[field.name] = flat
        self.all = {field.name: {**self.arrays, **self.ints}[field.name] for field in schema.fields}
        self.names = list(self.all)

    def __len__(self) -> int:
        return len(self.all[self.names[0]])

    def get(self, index: int) -> Example:
        out: Example = {name: column[index].copy() for name, column in self.arrays.items()}
        for name, column in self.ints.items():
            out[name] = column.item(index)
        return out

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return {name: column.take(indices, axis=0) for name, column in self.all.items()}

    def scan(self) -> Iterator[Example]:
        for data in self.scan_batches(1024):
            parts = [data[n].tolist() if n in self.ints else data[n] for n in self.names]
            for row in zip(*parts):
                yield dict(zip(self.names, row))

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), size):
            yield {name: column[start : start + size].copy() for name, column in self.all.items()}


class Peer(BasePeer):
    """A folder with the raw values of each column."""

    package = "numpy"

    def supports(self, schema: Schema) -> bool:
        return schema.fixed

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        path.mkdir(parents=True)
        files = {field.name: (path / field.name).open("wb") for field in schema.fields}
        source = iter(examples)
        while chunk := list(islice(source, 1000)):
            for field in schema.fields:
                values = [example[field.name] for example in chunk]
                kind = field.dtype if field.kind == "array" else np.int64
                files[field.name].write(np.array(values, kind).data)
        for file in files.values():
            file.close()

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
