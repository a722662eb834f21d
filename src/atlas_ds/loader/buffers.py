"""Recycled memory for batches. Page faults make a fresh array of a megabyte cost more than the copy into it."""

from __future__ import annotations

import math
import weakref

import numpy as np

from atlas_ds.forks import Lock
from atlas_ds.schema.batches import fixed_columns
from atlas_ds.schema.types import Field

MAX_BUFFERS = 64  # per column


class Buffers:
    """Arrays of `rows` rows for the fixed columns of a schema, as `out` of a batch.

    A buffer is free once the array over it has been collected; views of that array, and tensors over them, keep it alive.
    (Reference counts would not show this: Python 3.14 does not count references from local names.)
    """

    def __init__(self, fields: tuple[Field, ...], rows: int) -> None:
        self._rows = rows
        self._kinds = dict(fixed_columns(fields))
        self._kept: dict[str, list[tuple[bytearray, weakref.ref[np.ndarray]]]] = {path: [] for path in self._kinds}
        self._lock = Lock()

    def acquire(self, rows: int) -> dict[str, np.ndarray]:
        """Arrays of `rows` rows, under the names that `batch(out=)` uses."""
        with self._lock.held:
            return {path: self._one(path)[:rows] for path in self._kinds}

    def _one(self, path: str) -> np.ndarray:
        kept = self._kept[path]
        dtype, shape = self._kinds[path]
        free = next((k for k in reversed(range(len(kept))) if kept[k][1]() is None), None)  # the most recently used: it may still be in a CPU cache
        memory = bytearray(self._rows * dtype.itemsize * math.prod(shape)) if free is None else kept.pop(free)[0]
        array = np.ndarray((self._rows, *shape), dtype, memory)  # not a view itself, so it is the base of views
        kept.append((memory, weakref.ref(array)))
        if len(kept) > MAX_BUFFERS:
            del kept[0]
        return array
