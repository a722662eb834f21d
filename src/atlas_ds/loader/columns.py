"""Batches as nested columns (dict, tuple, list of columns): parts of them, examples put together, their bytes. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from atlas_ds.dataset.concat import pick
from atlas_ds.schema.values import Media, Ragged


def part(columns: Any, start: int, stop: int) -> Any:
    """Rows start .. stop of a batch; arrays are views."""
    if isinstance(columns, dict):
        return {name: part(column, start, stop) for name, column in columns.items()}
    if isinstance(columns, tuple):
        return tuple(part(column, start, stop) for column in columns)
    if isinstance(columns, Ragged):
        offsets = columns.offsets[start : stop + 1]
        shapes = None if columns.shapes is None else columns.shapes[start:stop]
        mask = None if columns.mask is None else columns.mask[start:stop]
        return Ragged(columns.values[offsets[0] : offsets[-1]], offsets - offsets[0], shapes, mask)
    return columns[start:stop]


def take(columns: Any, rows: np.ndarray) -> Any:
    """Some rows of a batch, in any order."""
    if isinstance(columns, dict):
        return {name: take(column, rows) for name, column in columns.items()}
    if isinstance(columns, tuple):
        return tuple(take(column, rows) for column in columns)
    if isinstance(columns, np.ndarray):
        return columns[rows]
    return pick(columns, rows) if isinstance(columns, Ragged) else [columns[i] for i in rows.tolist()]


def collate(examples: Sequence[Any]) -> Any:
    """Examples to columns: arrays of one shape and numbers are stacked, everything else is a list. Dicts of the same keys and tuples of one
    length stay what they are."""
    if not examples:
        return []
    first = examples[0]
    if isinstance(first, dict) and all(isinstance(example, dict) and example.keys() == first.keys() for example in examples):
        return {name: collate([example[name] for example in examples]) for name in first}
    if isinstance(first, tuple) and all(isinstance(example, tuple) and len(example) == len(first) for example in examples):
        return tuple(collate(column) for column in zip(*examples, strict=True))
    if hasattr(first, "detach"):  # a torch tensor, which a transform made
        return collate([np.asarray(example) for example in examples])
    if isinstance(first, np.ndarray) and all(isinstance(e, np.ndarray) and e.shape == first.shape and e.dtype == first.dtype for e in examples):
        return np.stack(examples)
    if all(type(example) is int for example in examples):
        return whole(examples)
    if isinstance(first, bool | int | float | complex | np.generic) and all(type(e) is type(first) for e in examples):
        return np.array(examples)
    return list(examples)


def whole(numbers: Sequence[int]) -> Any:
    """int64, or uint64 where that is too small, never float64, or a list."""
    least, most = min(numbers), max(numbers)
    if least >= -(1 << 63) and most < 1 << 63:
        return np.array(numbers, np.int64)
    return np.array(numbers, np.uint64) if least >= 0 and most < 1 << 64 else list(numbers)


def size_of(columns: Any) -> int:
    """About how many bytes a batch takes."""
    if isinstance(columns, dict):
        return sum(map(size_of, columns.values()))
    if isinstance(columns, np.ndarray):
        return columns.nbytes
    if hasattr(columns, "nbytes") and hasattr(columns, "device"):
        return int(columns.nbytes)
    if isinstance(columns, Ragged):
        return size_of(columns.values) + size_of(columns.offsets)
    if isinstance(columns, tuple | list):
        few = columns[:: max(1, len(columns) // 16)]
        return sum(map(size_of, few)) * len(columns) // max(1, len(few)) + 64
    if isinstance(columns, Media):
        return len(columns.data) + 100
    if isinstance(columns, str | bytes | bytearray | memoryview):
        return len(columns) + 60
    return 32
