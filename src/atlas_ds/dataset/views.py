"""Index arithmetic of views: from the index in brackets to rows. It reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from atlas_ds.text import named


def positions(indices: Any, count: int) -> np.ndarray:
    """Ints (negative too), a slice, a range or a bool mask as an int64 array of positions in [0, count)."""
    if isinstance(indices, slice):
        return np.arange(*indices.indices(count), dtype=np.int64)
    if isinstance(indices, str):
        name = named(indices, 80)
        column = f"ds.column({name}) reads a column, ds.batch(rows, columns=[{name}]) a column of some rows"
        raise TypeError(f"{name} is not a row: {column}; a split is opened with AtlasDataset(path, split={name})")
    if isinstance(indices, bool):
        text = 'a column of text is a list, so compare it as numpy.array(ds.column("name")) == "x"'
        raise TypeError(f"ds[{indices}]: a mask has a bool for each row; {text}")
    if indices is None or indices is Ellipsis or isinstance(indices, bool | np.bool_ | float | complex | np.floating):
        raise TypeError(f"ds[{indices!r}]: rows are integers below {count}, slices, lists of them, or a mask with a bool for each row")
    if isinstance(indices, tuple) and any(isinstance(part, str | slice | None) or part is Ellipsis for part in indices):
        raise TypeError("ds[row, column]: give the row alone, then the column of the example: ds[0]['name']; ds.batch(rows, columns=[...]) reads both")
    if isinstance(indices, int | np.integer) and not isinstance(indices, bool):
        raise TypeError(f"expected a list of rows, not one: [{indices}] (ds[{indices}] reads one example)")
    array = np.asarray(indices)
    if array.dtype == np.bool_:
        if array.shape != (count,):
            raise IndexError(f"a mask must have one bool for each of {count} rows, not shape {array.shape}")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"indices must be a one-dimensional sequence of ints, a slice or a bool mask, not {array.dtype} of shape {array.shape}")
    if array.dtype == np.uint64 and int(array.max()) >= 1 << 63:
        raise IndexError(f"row {int(array.max())} is out of range for {count} rows")
    array = array.astype(np.int64, copy=False)
    least, most = int(array.min()), int(array.max())
    if least < -count or most >= count:
        raise IndexError(f"row {most if most >= count else least} is out of range for {count} rows")
    return np.where(array < 0, array + count, array) if least < 0 else array


def index_rows(rows: range | np.ndarray, key: Any) -> range | np.ndarray:
    """The rows of a view of a view: a slice of a range stays a range; anything else is one array, however deep views are nested."""
    if isinstance(key, slice):
        return rows[key] if isinstance(rows, range) else rows[key].copy()
    at = positions(key, len(rows))
    return at * rows.step + rows.start if isinstance(rows, range) else rows[at]


def split_rows(rows: range | np.ndarray, fractions: Sequence[float], seed: int | None) -> list[range | np.ndarray]:
    """Splits rows by fractions (which sum to 1) or counts (which sum to the number of rows)."""
    count = len(rows)
    if not fractions or any(part < 0 for part in fractions):
        raise ValueError(f"fractions {list(fractions)!r} must all be positive, and there must be at least one of them")
    if all(isinstance(part, int) for part in fractions) and sum(fractions) == count:
        ends = np.cumsum([0, *fractions])
    elif abs(sum(fractions) - 1) < 1e-9:
        ends = np.round(np.cumsum([0.0, *fractions]) * count).astype(np.int64)
    else:
        raise ValueError(f"fractions {list(fractions)!r} must sum to 1, or be counts that sum to {count}; their sum is {sum(fractions):.12g}")
    pairs = pairwise(ends)
    if seed is None:
        return [index_rows(rows, slice(int(a), int(b))) for a, b in pairs]
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    return [index_rows(rows, np.sort(shuffled[a:b])) for a, b in pairs]
