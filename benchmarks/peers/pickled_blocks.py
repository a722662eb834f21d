"""Blocks of 100 pickled examples (or of another number), compressed with zstd, with an index at the end of one file."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from benchmarks.peers import BasePeer
from benchmarks.peers import Reader as BaseReader
from benchmarks.schema import Example, Schema, nest, pick

BLOCK = 100
LEVEL = 3
DICTIONARY_BYTES = 1 << 20
SAMPLE_BLOCKS = 200
KEPT = 8
FOOTER = np.dtype("<u8")


def _columns(examples: list[Example], schema: Schema) -> dict[str, Any]:
    out: dict[tuple[str, ...], Any] = {}
    for path, field in schema.leaves():
        values = [pick(example, path) for example in examples]
        if field.kind == "array":
            out[path] = np.stack(values)
        else:
            out[path] = np.array(values, np.int64) if field.kind == "int" else values
    return nest(out)


class Reader(BaseReader):
    """Keeps the last few unpickled blocks."""

    def __init__(self, path: Path, schema: Schema, block: int) -> None:
        self.schema, self.block = schema, block
        with path.open("rb") as file:
            self.data = mmap(file.fileno(), 0, access=ACCESS_READ)
        count, blocks, words = np.frombuffer(self.data[-24:], FOOTER).tolist()
        start = len(self.data) - 24 - 8 * (blocks + 1)
        self.offsets = np.frombuffer(self.data[start : start + 8 * (blocks + 1)], FOOTER).tolist()
        self.count = count
        extra = zstandard.ZstdCompressionDict(self.data[:words]) if words else None
        self._decompress = zstandard.ZstdDecompressor(dict_data=extra).decompress
        self._kept: OrderedDict[int, list[Example]] = OrderedDict()

    def __len__(self) -> int:
        return self.count

    def _block(self, number: int) -> list[Example]:
        block = self._kept.get(number)
        if block is None:
            block = self._kept[number] = self._load(number)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return block

    def _load(self, number: int) -> list[Example]:
        part = self.data[self.offsets[number] : self.offsets[number + 1]]
        return pickle.loads(self._decompress(part))

    def get(self, index: int) -> Example:
        return self._block(index // self.block)[index % self.block]

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        found: list[Any] = [None] * len(indices)
        wanted = indices.tolist()
        for place in np.argsort(indices, kind="stable").tolist():
            found[place] = self.get(wanted[place])
        return _columns(found, self.schema)

    def scan(self) -> Iterator[Example]:
        for number in range(len(self.offsets) - 1):
            yield from self._load(number)

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        source = self.scan()
        while chunk := list(islice(source, size)):
            yield _columns(chunk, self.schema)

    def close(self) -> None:
        self.data.close()


class Peer(BasePeer):
    """`dictionary` trains a zstd dictionary on the first blocks. block: examples in one. This is how torch-atlas-ds stores them."""

    package = "zstandard"

    def __init__(self, *, dictionary: bool = False, block: int = BLOCK) -> None:
        self.dictionary, self.block = dictionary, block

    def _train(self, blocks: list[bytes]) -> zstandard.ZstdCompressionDict | None:
        size = min(DICTIONARY_BYTES, sum(map(len, blocks)) // 20)
        try:
            return zstandard.train_dictionary(size, blocks)
        except zstandard.ZstdError:
            return None

    def write(self, path: Path, examples: Iterable[Example], schema: Schema) -> None:
        count = 0

        def pickled() -> Iterator[bytes]:
            nonlocal count
            source = iter(examples)
            while chunk := list(islice(source, self.block)):
                count += len(chunk)
                yield pickle.dumps(chunk, protocol=5)

        blocks = pickled()
        head = list(islice(blocks, SAMPLE_BLOCKS)) if self.dictionary else []
        extra = self._train(head) if head else None
        compress = zstandard.ZstdCompressor(level=LEVEL, dict_data=extra).compress
        words = extra.as_bytes() if extra else b""
        offsets = [len(words)]
        with path.open("wb") as out:
            out.write(words)
            for block in chain(head, blocks):
                offsets.append(offsets[-1] + out.write(compress(block)))
            out.write(np.array(offsets, FOOTER).tobytes())
            out.write(np.array([count, len(offsets) - 1, len(words)], FOOTER).tobytes())

    def open(self, path: Path, schema: Schema) -> Reader:
        return Reader(path, schema, self.block)
