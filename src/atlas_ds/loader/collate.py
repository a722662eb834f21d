"""Examples put together to columns, as the loader does it by default. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


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
