"""Memory for batches, used again once nobody looks at it: a fresh array of a megabyte costs more in page faults than the copy into it."""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

import numpy as np

from atlas_ds.schema.types import SCALARS, Array, Field, Scalar, Struct

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
        self._lock = threading.Lock()

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


def fixed_columns(fields: tuple[Field, ...], prefix: str = "") -> list[tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]]:
    """(path, (dtype, shape of a row)) of the columns that are read into arrays as they are."""
    found: list[tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]] = []
    for field in fields:
        kind = field.type
        if field.nullable or (isinstance(kind, Scalar | Array) and kind.dtype == "bfloat16"):
            continue
        if isinstance(kind, Struct):
            found += fixed_columns(kind.fields, f"{prefix}{field.name}.")
        elif isinstance(kind, Scalar | Array):
            found.append((prefix + field.name, (SCALARS[kind.dtype], kind.shape if isinstance(kind, Array) else ())))
    return found
