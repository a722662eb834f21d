"""A reader for peers that return one example at a time: columns are examples that are stacked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.peers import Reader as BaseReader
from benchmarks.schema import Example, Schema, nest, pick


class Reader(BaseReader):
    """Needs `count` and `get`."""

    def __init__(self, schema: Schema, count: int) -> None:
        self.schema, self.count = schema, count

    def __len__(self) -> int:
        return self.count

    @abstractmethod
    def get(self, index: int) -> Example: ...

    def batch(self, indices: np.ndarray) -> dict[str, Any]:
        return self._columns([self.get(index) for index in indices.tolist()])

    def scan(self) -> Iterator[Example]:
        return map(self.get, range(self.count))

    def scan_batches(self, size: int) -> Iterator[dict[str, Any]]:
        rows = self.scan()
        while chunk := list(islice(rows, size)):
            yield self._columns(chunk)

    def _columns(self, examples: list[Example]) -> dict[str, Any]:
        columns = {}
        for path, field in self.schema.leaves():
            values = [pick(example, path) for example in examples]
            columns[path] = np.stack(values) if field.kind == "array" else np.array(values) if field.kind == "int" else values
        return nest(columns)
