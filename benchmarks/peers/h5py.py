"""HDF5: contiguous datasets for fixed columns, one blob with offsets for the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers.columns import ordered, reorder
from benchmarks.schema import Example, Field, Schema, nest, pick


class Column:
    """One leaf column; offsets and ints are loaded when the file is opened."""

    def __init__(self, group: h5py.Group, field: Field) -> None:
        self.kind = field.kind
        self.data = group["data"][:] if field.kind == "int" else group["data"]
        self.ends = group["offsets"][:].tolist() if field.kind in ("str", "bytes") else []

    def one(self, index: int) -> Any:
        if self.kind == "array":
            return self.data[index]
        if self.kind == "int":
            return int(self.data[index])
        return self._cut(self.data[self.ends[index] : self.ends[index + 1]])

    def _cut(self, piece: np.ndarray) -> Any:
        return str(piece, "utf-8") if self.kind == "str" else piece.tobytes()

    def take(self, indices: np.ndarray) -> Any:
        if self.kind == "int":
            return self.data[indices]
        if self.kind == "array":
            unique, inverse = ordered(indices)
            return reorder(self.data[unique], inverse)
        return [self.one(index) for index in indices.tolist()]

    def range(self, start: int, stop: int) -> Any:
        if self.kind in ("int", "array"):
            return self.data[start:stop]
        base = self.ends[start]
        blob = self.data[base : self.ends[stop]].tobytes()
        cuts = [end - base for end in self.ends[start : stop + 1]]
        pieces = [blob[a:b] for a, b in zip(cuts, cuts[1:])]
        return [piece.decode() for piece in pieces] if self.kind == "str" else pieces


class Reader(BaseReader):
    """Reads each column by itself."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.file = h5py.File(path, "r", libver="latest", rdcc_nbytes=0)
        self.columns = {
            where: Column(self.file["/".join(where)], field) for where, field in schema.leaves()
        }
        self.count = int(self.file.attrs["count"])

    def __len__(self) -> int:
        return self.count

    def get(self, index: int) -> Example:
        return nest({where: column.one(index) for where, column in self.columns.items()})

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return nest({where: column.take(indices) for where, column in self.columns.items()})

    def scan(self) -> Iterator[Example]:
        for data in self._parts(1024):
            lists = [
                value.tolist() if self.columns[where].kind == "int" else value
                for where, value in data.items()
            ]
            for row in zip(*lists):
                yield nest(dict(zip(data, row)))

    def _parts(self, size: int) -> Iterator[dict[tuple[str, ...], Any]]:
        for start in range(0, self.count, size):
            stop = min(start + size, self.count)
            yield {where: column.range(start, stop) for where, column in self.columns.items()}

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        return map(nest, self._parts(size))

    def close(self) -> None:
        self.file.close()


class Peer(BasePeer):
    """One file in the latest format, nothing compressed (the fastest for random rows)."""

    package = "h5py"

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        held = list(examples)
        with h5py.File(path, "w", libver="latest") as file:
            file.attrs["count"] = len(held)
            for where, field in schema.leaves():
                group = file.create_group("/".join(where))
                self._write(group, [pick(example, where) for example in held], field)

    def _write(self, group: h5py.Group, values: list[Any], field: Field) -> None:
        if field.kind == "array":
            data = group.create_dataset("data", (len(values), *field.shape), field.dtype)
            for start in range(0, len(values), 1000):
                data[start : start + 1000] = np.stack(values[start : start + 1000])
        elif field.kind == "int":
            group["data"] = np.array(values, np.int64)
        else:
            pieces = [v.encode() for v in values] if field.kind == "str" else values
            group["data"] = np.frombuffer(b"".join(pieces), np.uint8)
            group["offsets"] = np.cumsum([0, *map(len, pieces)], dtype=np.int64)

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
