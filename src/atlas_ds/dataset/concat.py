"""atlas.concat: several datasets one after another, as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atlas_ds.dataset.reader import AtlasDataset
from atlas_ds.dataset.views import compose, positions
from atlas_ds.schema.batches import join


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
        out: list[Any] = [None] * len(at)
        for k, where, rows in self._shares(at):
            for place, example in zip(where, self.datasets[k].__getitems__(rows), strict=True):
                out[place] = example
        return out

    def _shares(self, at: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(dataset, places in at, rows of it) for each dataset that has some; the first dataset and nothing, if at is empty."""
        rows = at * self.rows.step + self.rows.start if isinstance(self.rows, range) else self.rows[at]
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        for k in np.unique(numbers).tolist() or [0]:
            where = np.flatnonzero(numbers == k)
            yield k, where, rows[where] - self._starts[k]

    def batch(self, indices: Any, columns: Sequence[str] | None = None) -> Any:
        """Columns of the rows at indices; the datasets must have the columns in common."""
        wheres, parts = [], []
        for k, where, rows in self._shares(positions(indices, len(self))):
            wheres.append(where)
            parts.append(self.datasets[k].batch(rows, columns))
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
