"""atlas.concat: several datasets one after another, as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.views import compose, positions
from atlas_ds.schema.values import Ragged


def concat(datasets: Sequence[Any]) -> Concat:
    """One sequence of the examples of several datasets (or views), in that order. Their columns may differ."""
    flat: list[AtlasDataset] = []
    for dataset in datasets:
        flat += dataset.datasets if isinstance(dataset, Concat) and isinstance(dataset.rows, range) and dataset.rows == range(dataset.total) else [dataset]
    if not flat:
        raise ValueError("concat([]): give at least one dataset")
    return Concat(tuple(flat), None)


class Concat:
    """Datasets one after another, and views of that."""

    def __init__(self, datasets: tuple[Any, ...], rows: range | np.ndarray | None) -> None:
        self.datasets = datasets
        self._starts = np.cumsum([0, *(len(dataset) for dataset in datasets)])
        self.total = int(self._starts[-1])
        self.rows = range(self.total) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} is out of range for {len(self)} rows")
            row = int(self.rows[key])
            k = int(np.searchsorted(self._starts, row, "right")) - 1
            return self.datasets[k][row - int(self._starts[k])]
        return Concat(self.datasets, compose(self.rows, key))

    def select(self, indices: Any) -> Concat:
        return Concat(self.datasets, compose(self.rows, indices))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        at = positions(indices, len(self))
        rows = at * self.rows.step + self.rows.start if isinstance(self.rows, range) else self.rows[at]
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        out: list[Any] = [None] * len(rows)
        for k in np.unique(numbers):
            where = np.flatnonzero(numbers == k)
            for place, example in zip(where, self.datasets[k].__getitems__(rows[where] - self._starts[k]), strict=True):
                out[place] = example
        return out

    def batch(self, indices: Any, columns: Sequence[str] | None = None) -> Any:
        """Columns of the rows at indices; the datasets must have the columns in common."""
        at = positions(indices, len(self))
        rows = at * self.rows.step + self.rows.start if isinstance(self.rows, range) else self.rows[at]
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        wheres, parts = [], []
        for k in np.unique(numbers) if len(rows) else [0]:
            where = np.flatnonzero(numbers == k)
            wheres.append(where)
            parts.append(self.datasets[k].batch(rows[where] - self._starts[k], columns))
        back = np.argsort(np.concatenate(wheres), kind="stable")
        if columns_in_lists(self.datasets[0]):
            return list(join([tuple(part) for part in parts], back))
        return join(parts, back)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.rows, range) and self.rows == range(self.total):
            for dataset in self.datasets:
                yield from dataset
            return
        for start in range(0, len(self), 256):
            yield from self.__getitems__(range(start, min(start + 256, len(self))))


def columns_in_lists(dataset: Any) -> bool:
    """Whether examples are lists: then so are batches, and a list is not a column of values."""
    return columns_in_lists(dataset.datasets[0]) if isinstance(dataset, Concat) else dataset.schema.container == "list"


def join(parts: list[Any], back: np.ndarray) -> Any:
    """Columns of several datasets put together and into the asked order."""
    first = parts[0]
    if isinstance(first, dict):
        return {name: join([part[name] for part in parts], back) for name in first}
    if isinstance(first, tuple):
        return tuple(join(list(column), back) for column in zip(*parts, strict=True))
    if isinstance(first, np.ma.MaskedArray) or any(isinstance(part, np.ma.MaskedArray) for part in parts):
        return np.ma.concatenate(parts)[back]  # type: ignore[no-untyped-call]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)[back]
    if all(isinstance(part, Ragged) and part.values.dtype == first.values.dtype for part in parts):
        return pick(join_ragged(parts), back)
    values = [value for part in parts for value in (part if isinstance(part, list) else [part[i] for i in range(len(part))])]
    return [values[i] for i in back]


def join_ragged(parts: list[Ragged]) -> Ragged:
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    shapes: Any = None
    if any(part.shapes is not None for part in parts):
        same = all(isinstance(part.shapes, np.ndarray) and part.shapes.shape[1:] == np.shape(parts[0].shapes)[1:] for part in parts)
        shapes = np.concatenate([part.shapes for part in parts]) if same else [shape for part in parts for shape in shapes_of(part)]
    masks = [np.zeros(len(part), np.bool_) if part.mask is None else part.mask for part in parts]
    mask = np.concatenate(masks) if any(part.mask is not None for part in parts) else None
    return Ragged(np.concatenate([part.values for part in parts]), ends(sizes), shapes, mask)


def pick(column: Ragged, rows: np.ndarray) -> Ragged:
    """Some rows of a column, in any order."""
    starts, sizes = column.offsets[rows], np.diff(column.offsets)[rows]
    offsets = ends(sizes)
    values = column.values[np.repeat(starts - offsets[:-1], sizes) + np.arange(offsets[-1])]
    shapes = column.shapes
    if shapes is not None:
        shapes = shapes[rows] if isinstance(shapes, np.ndarray) else [shapes[i] for i in rows.tolist()]
    return Ragged(values, offsets, shapes, None if column.mask is None else column.mask[rows])


def shapes_of(column: Ragged) -> list[tuple[int, ...]]:
    if column.shapes is None:
        return [(int(size),) for size in np.diff(column.offsets)]
    return [tuple(map(int, shape)) for shape in column.shapes]


def ends(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
