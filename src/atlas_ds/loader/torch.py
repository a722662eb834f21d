"""torch glue: the one file of the package that imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas_ds.schema.values import Ragged


def need_torch() -> None:
    """ImportError if torch cannot be used: said where it is asked for, not where the first row is read."""
    try:
        import torch  # noqa: F401
    except ImportError as cause:
        raise ImportError('with_format("torch") needs torch: pip install torch') from cause


def to_torch(value: Any) -> Any:
    """Arrays and numbers as tensors that share memory with them where they can; str, bytes, media and objects as they are."""
    import torch

    if isinstance(value, dict):
        return {name: to_torch(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(to_torch, value))
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a column with nulls has no torch form: fill it (column.filled(value)) or select other columns")
    if isinstance(value, Ragged):
        return Ragged(to_torch(value.values), to_torch(value.offsets), value.shapes, value.mask)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    if isinstance(value, np.generic | bool | int | float | complex):
        return torch.as_tensor(value)
    return value
