"""torch glue: the one file of the package that imports torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas_ds.schema.values import Ragged


def need_torch(what: str) -> None:
    """ImportError if torch cannot be used: said where it is asked for, not where the first row is read."""
    try:
        import torch  # noqa: F401
    except ImportError as cause:
        raise ImportError(f"{what} needs torch: pip install torch") from cause


def to_torch(value: Any, of: str = "") -> Any:
    """Arrays and numbers as tensors that share memory with them where they can; str, bytes, media and objects as they are. of: the column, for errors."""
    import torch

    if type(value) is np.ndarray:
        return torch.from_numpy(value if value.flags.writeable else value.copy())
    if isinstance(value, dict):
        return {name: to_torch(inner, f"{of}.{name}" if of else str(name)) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(to_torch(inner, of) for inner in value)
    if isinstance(value, np.ma.MaskedArray):
        column = f"column {of!r}" if of else "a column"
        raise TypeError(f"{column} has nulls, which have no torch form: fill it (column.filled(value), in transform=) or select other columns (columns=[...])")
    if isinstance(value, Ragged):
        return Ragged(to_torch(value.values), to_torch(value.offsets), value.shapes, value.mask)
    if isinstance(value, np.generic | bool | int | float | complex):
        return torch.as_tensor(value)
    return value


def pinned(value: Any) -> Any:
    """Tensors in page-locked memory, from which a copy to an accelerator need not wait; as they are where there is no accelerator."""
    import torch

    if not torch.cuda.is_available():
        return value
    if isinstance(value, dict):
        return {name: pinned(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(pinned, value))
    if isinstance(value, Ragged):
        return Ragged(pinned(value.values), pinned(value.offsets), value.shapes, value.mask)
    return value.pin_memory() if isinstance(value, torch.Tensor) else value
