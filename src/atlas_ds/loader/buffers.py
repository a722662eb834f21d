"""Memory for batches, used again once nobody looks at it: a fresh array of a megabyte costs more in page faults than the copy into it."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

from atlas_ds.schema.types import SCALARS, Array, Field, Scalar, Struct

KEPT = 64  # arrays of a column, at most


class Buffers:
    """Arrays of `rows` rows for the fixed columns of a schema, as `out` of a batch.

    An array is free when the pool holds the only reference to it: views of it, and tensors over these, keep it.
    """

    def __init__(self, fields: tuple[Field, ...], rows: int) -> None:
        self._rows = rows
        self._kinds = dict(fixed_columns(fields))
        self._arrays: dict[str, list[np.ndarray]] = {path: [] for path in self._kinds}
        self._lock = threading.Lock()

    def take(self, rows: int) -> dict[str, np.ndarray]:
        """Arrays of so many rows, by the names that `batch(out=)` uses."""
        with self._lock:
            return {path: self._one(path)[:rows] for path in self._kinds}

    def _one(self, path: str) -> np.ndarray:
        kept = self._arrays[path]
        for k in range(len(kept)):
            array = kept[k]
            if sys.getrefcount(array) == 3:  # the list, the name, the argument
                kept.append(kept.pop(k))
                return array
        dtype, shape = self._kinds[path]
        array = np.empty((self._rows, *shape), dtype)
        kept.append(array)
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
