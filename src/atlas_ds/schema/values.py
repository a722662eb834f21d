"""Values at the edge of the core: what a batch is made of, and the one place from which conversions are imported.

Conversions live beside this file: numbers in arrays.py and lists.py, lists and dicts in objects.py, images, sound and film in media.py.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.ma  # NumPy imports it when first used: a fork while another thread does so leaves the child with a held import lock

from atlas_ds.errors import SchemaError
from atlas_ds.schema.arrays import scalar_bytes, to_array
from atlas_ds.schema.bfloat16 import narrow_bfloat16
from atlas_ds.schema.describe import describe, is_bfloat16, is_tensor, to_numpy
from atlas_ds.schema.fits import check_size, too_large, unmasked
from atlas_ds.schema.media import Media, is_pil, sniff, to_bytes, to_media
from atlas_ds.schema.objects import check_keys, pack, unpack
from atlas_ds.schema.types import SCALARS

__all__ = [
    "Media", "Ragged", "as_dict", "check_keys", "check_size", "describe", "is_bfloat16", "is_pil", "is_tensor", "masked", "narrow_bfloat16", "pack",
    "present", "scalar_bytes", "sniff", "storage_dtype", "to_array", "to_bytes", "to_media", "to_numpy", "too_large", "unmasked", "unpack",
]  # fmt: skip


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


def storage_dtype(name: str) -> np.dtype[Any]:
    return SCALARS[name]


def masked(values: np.ndarray, nulls: np.ndarray) -> np.ma.MaskedArray:
    """A column with nulls: masked where they are."""
    mask = nulls.astype(np.bool_).reshape(nulls.shape + (1,) * (values.ndim - 1))
    return np.ma.MaskedArray(values, np.broadcast_to(mask, values.shape).copy())


def present(columns: dict[str, Any], there: np.ndarray) -> dict[str, Any]:
    """A nullable struct's columns: masked, or None in lists, where the struct is absent."""
    return {name: _absent(column, there) for name, column in columns.items()}


def _absent(column: Any, there: np.ndarray) -> Any:
    if isinstance(column, dict):
        return present(column, there)
    if isinstance(column, list):
        return [value if here else None for value, here in zip(column, there, strict=True)]
    if isinstance(column, Ragged):
        mask = ~there if column.mask is None else column.mask | ~there
        return dataclasses.replace(column, mask=mask)
    gone = (~there).astype(np.uint8)
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.MaskedArray(column.data, np.ma.getmaskarray(column) | np.ma.getmaskarray(masked(column.data, gone)))
    return masked(column, gone)


def as_dict(example: Any, schema: Any) -> dict[str, Any]:
    """A dataclass instance as a dict of its fields (not deep)."""
    if dataclasses.is_dataclass(example) and not isinstance(example, type):
        return {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    raise SchemaError(f"expected a {schema.container} with {', '.join(schema.names)}, got {describe(example)}")
