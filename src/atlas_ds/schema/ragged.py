"""Arrays of different length in one column of a batch: joined, picked from and measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Ragged:
    """Arrays of different lengths in one batch.

    `ragged[i]` is row i, or None where `mask[i]`; `len(ragged)` is the number of rows. Row i is
    `values[offsets[i]:offsets[i + 1]]`, reshaped to `shapes[i]` if there are shapes.

    Parameters
    ----------
    values
        Of shape (total,), of the column's dtype.
    offsets
        Of shape (rows + 1,), int64.
    shapes
        The shape of each row; None if all have one dimension.
    mask
        Of shape (rows,), bool, True where null; None if nothing is null.
    """

    values: np.ndarray
    offsets: np.ndarray
    shapes: Any = None
    mask: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {self.values.size:,} values of {self.values.dtype})"

    def __getitem__(self, i: int) -> np.ndarray | None:
        """Returns one row.

        Parameters
        ----------
        i
            Its number; negative: from the end.
        """
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} is out of range for {len(self)} rows")
        i %= len(self)
        if self.mask is not None and self.mask[i]:
            return None
        row = self.values[self.offsets[i] : self.offsets[i + 1]]
        return row if self.shapes is None else row.reshape(tuple(self.shapes[i]))


def join_ragged(parts: list[Ragged]) -> Ragged:
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    shapes: Any = None
    if any(part.shapes is not None for part in parts):
        same = all(isinstance(part.shapes, np.ndarray) and part.shapes.shape[1:] == np.shape(parts[0].shapes)[1:] for part in parts)
        shapes = np.concatenate([part.shapes for part in parts]) if same else [shape for part in parts for shape in shapes_of(part)]
    masks = [np.zeros(len(part), np.bool_) if part.mask is None else part.mask for part in parts]
    mask = np.concatenate(masks) if any(part.mask is not None for part in parts) else None
    return Ragged(np.concatenate([part.values for part in parts]), ends(sizes), shapes, mask)


def pick_ragged(column: Ragged, rows: np.ndarray) -> Ragged:
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
