"""Rows without a value in a batch: masked arrays, masks of Ragged and None in lists."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.ma  # NumPy imports it when first used: a fork while another thread does so leaves the child with a held import lock

from atlas_ds.schema.ragged import Ragged
from atlas_ds.schema.times import is_nat


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
    if column.dtype.kind == "M":
        column[~there] = np.datetime64("NaT")
        return column
    gone = (~there).astype(np.uint8)
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.MaskedArray(column.data, np.ma.getmaskarray(column) | np.ma.getmaskarray(masked(column.data, gone)))
    return masked(column, gone)


def is_null(value: Any) -> bool:
    """Whether a value in a column stands for None: None itself, NaT, or an array that is masked as a whole."""
    return value is None or is_nat(value) or (isinstance(value, np.ma.MaskedArray) and bool(np.ma.getmaskarray(value).all()) and value.size > 0)


def nulls_of(column: Any, count: int) -> np.ndarray:
    """Which rows of a column are null; of a dict of columns: null in every one of them. Where nothing can be seen (rows of no elements): all."""
    if column is None:
        return np.ones(count, np.bool_)
    if isinstance(column, dict):
        parts = [nulls_of(inner, count) for inner in column.values()]
        return np.asarray(np.all(parts, axis=0)) if parts else np.ones(count, np.bool_)
    if isinstance(column, np.ma.MaskedArray):
        if not count:
            return np.zeros(0, np.bool_)
        mask = np.ma.getmaskarray(column)
        mask = mask | np.isnat(column.data) if column.dtype.kind == "M" else mask
        return np.asarray(mask.reshape(count, -1).all(axis=1))
    if isinstance(column, Ragged):
        return np.zeros(count, np.bool_) if column.mask is None else np.asarray(column.mask, np.bool_)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return np.asarray(np.isnat(column))
    if isinstance(column, np.ndarray) and column.dtype != np.object_:
        return np.zeros(count, np.bool_)
    return np.array([is_null(column[i]) for i in range(count)], np.bool_)
