"""Memory for batches, used again once nobody looks at it: a fresh array of a megabyte costs more in page faults than the copy into it."""

from __future__ import annotations

import math
import weakref

import numpy as np

from atlas_ds.forks import Lock
from atlas_ds.schema.batches import fixed_columns
from atlas_ds.schema.types import Field

KEPT = 64  # arrays of a column, at most


class Buffers:
    """Arrays of `rows` rows for the fixed columns of a schema, as `out` of a batch.

    Memory is free once the array over it is gone: views of it, and tensors over these, keep it. (Counts of references would not tell:
    Python 3.14 does not count those of local names.)
    """

    def __init__(self, fields: tuple[Field, ...], rows: int) -> None:
        self._rows = rows
        self._kinds = dict(fixed_columns(fields))
        self._kept: dict[str, list[tuple[bytearray, weakref.ref[np.ndarray]]]] = {path: [] for path in self._kinds}
        self._lock = Lock()

    def take(self, rows: int) -> dict[str, np.ndarray]:
        """Arrays of so many rows, by the names that `batch(out=)` uses."""
        with self._lock:
            return {path: self._one(path)[:rows] for path in self._kinds}

    def _one(self, path: str) -> np.ndarray:
        kept = self._kept[path]
        dtype, shape = self._kinds[path]
        free = next((k for k in reversed(range(len(kept))) if kept[k][1]() is None), None)  # the last used: it may still be in a cache
        memory = bytearray(self._rows * dtype.itemsize * math.prod(shape)) if free is None else kept.pop(free)[0]
        array = np.ndarray((self._rows, *shape), dtype, memory)  # what views of it have as their base, for it is none itself
        kept.append((memory, weakref.ref(array)))
        if len(kept) > KEPT:
            del kept[0]
        return array
