"""Converts NumPy arrays to Arrow's nested lists and back. types.py and exported_types.py decide
which columns are arrays."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.types import SCALARS, Array

Arrays = list[Any]  # of NumPy arrays and None


def list_depth(kind: Any) -> int:
    """The number of lists that a type is nested in."""
    import pyarrow.types as t

    depth = 0
    while t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth


def stored(kind: Any) -> Any:
    """The storage type of an extension type, or the type itself."""
    import pyarrow as pa

    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def stored_array(array: Any) -> Any:
    """The storage of a column of an extension type, or the column itself."""
    import pyarrow as pa

    return array.storage if isinstance(array, pa.ExtensionArray) else array


def fixed_arrays(column: Any, kind: Array, where: str) -> Arrays:
    """The arrays of a column whose values all have one shape."""
    dtype, count = SCALARS[kind.dtype], prod(kind.shape)
    out: Arrays = []
    for scalar in column:
        if not scalar.is_valid:
            out.append(None)
            continue
        flat = _flat(scalar, where) if kind.shape else np.asarray([scalar.as_py()])
        if len(flat) != count:
            raise SchemaError(f"{where}: a value of {len(flat):,} numbers, but its type is {kind}; write the column again")
        out.append(np.asarray(flat, dtype).reshape(kind.shape))
    return out


def shaped_arrays(column: Any, dtype: str, ndim: int, where: str) -> Arrays:
    """The arrays of a column whose shapes differ and come from the lists themselves."""
    return [_shaped(scalar, ndim, where, SCALARS[dtype]) if scalar.is_valid else None for scalar in column]


def _shaped(scalar: Any, ndim: int, where: str, dtype: np.dtype[Any]) -> np.ndarray:
    inner, shape = scalar.values, [len(scalar.values)]
    for _ in range(ndim - 1):
        lengths = set(inner.value_lengths().to_pylist())
        if len(lengths) > 1:
            raise SchemaError(f"{where}: lists of different lengths ({', '.join(map(str, sorted(lengths, key=str)[:3]))}) are not an array; pad them")
        shape.append(int(lengths.pop() or 0) if lengths else 0)
        inner = inner.flatten()
    return np.asarray(_flat(scalar, where), dtype).reshape(shape)


def _flat(scalar: Any, where: str) -> np.ndarray:
    inner = scalar.values
    while list_depth(inner.type):
        inner = inner.flatten()
    if inner.null_count:
        raise SchemaError(f"{where}: a list with nulls among its numbers; fill them before converting")
    return np.asarray(inner.to_numpy(zero_copy_only=False))


def nested_lists(arrays: Arrays, ndim: int, number: Any, where: str) -> Any:
    """Arrays of `ndim` dimensions (1 or more) as a column of lists of lists of numbers."""
    import pyarrow as pa

    there = [array for array in arrays if array is not None]
    for row, array in enumerate(arrays):
        if array is not None and 0 in array.shape[:-1]:
            shape = "x".join(map(str, array.shape))
            why = f"row {row} of the batch has shape {shape}, whose last dimensions lists cannot express"
            raise SchemaError(f"{where}: {why}; leave the column out with columns=")
    values = pa.array(np.concatenate([array.ravel() for array in there]) if there else np.empty(0), number)
    for axis in range(ndim - 1, 0, -1):
        lengths = [np.full(prod(array.shape[:axis]), array.shape[axis]) for array in there]
        values = pa.ListArray.from_arrays(_offsets(np.concatenate(lengths) if lengths else np.empty(0)), values)
    absent = pa.array([array is None for array in arrays])
    outer = _offsets(np.array([0 if array is None else array.shape[0] for array in arrays]))
    return pa.ListArray.from_arrays(outer, values, mask=absent)


def flat_lists(arrays: Arrays, size: int, number: Any) -> Any:
    """Arrays of one dimension and one size as a column of lists of that size."""
    import pyarrow as pa

    some = next((array for array in arrays if array is not None), np.zeros(size))
    values = np.concatenate([np.zeros(size, some.dtype) if array is None else array for array in arrays]) if arrays else np.empty(0)
    return pa.FixedSizeListArray.from_arrays(pa.array(values, number), size, mask=pa.array([array is None for array in arrays], pa.bool_()))


def _offsets(lengths: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
