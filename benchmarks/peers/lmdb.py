"""LMDB with the shared codec: one read transaction kept open, no locks, no read-ahead."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.peers.codec import Codec
from benchmarks.schema import Example, Schema

KEY = struct.Struct(">I").pack
MAP_SIZE = 1 << 36


class Reader(BaseReader):
    """Reads bytes for fixed rows (the copy is the result), buffers for the others."""

    def __init__(self, path: Path, schema: Schema) -> None:
        self.env = lmdb.open(
            str(path), subdir=False, readonly=True, lock=False, readahead=False, meminit=False
        )
        self.codec = Codec(schema)
        self._txn = self.env.begin(buffers=not schema.fixed)
        self._views = self.env.begin(buffers=True)
        self._get, self._decode = self._txn.get, self.codec.decode

    def __len__(self) -> int:
        return self.env.stat()["entries"]

    def get(self, index: int) -> Example:
        return self._decode(self._get(KEY(index)))

    def view(self, index: int) -> Example:
        record = self._views.get(KEY(index))
        return {"image": record[8:], "label": int.from_bytes(record[:8], "little")}

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        get = self._get
        return self.codec.columns([get(KEY(index)) for index in indices.tolist()])

    def scan(self) -> Iterator[Example]:
        cursor = self._txn.cursor()
        return map(self._decode, cursor.iternext(keys=False, values=True))

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        records = self._txn.cursor().iternext(keys=False, values=True)
        while chunk := list(islice(records, size)):
            yield self.codec.columns(chunk)

    def close(self) -> None:
        self._txn.abort()
        self._views.abort()
        self.env.close()


class Peer(BasePeer):
    """One file, keys in increasing order appended in one transaction."""

    package = "lmdb"
    has_view = True

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        encode = Codec(schema).encode
        env = lmdb.open(str(path), subdir=False, map_size=MAP_SIZE, lock=False, meminit=False)
        with env.begin(write=True) as txn:
            for number, example in enumerate(examples):
                txn.put(KEY(number), encode(example), append=True)
        env.sync(True)
        env.close()

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema)
