"""Converts one column's Arrow arrays to the values of examples. types.py chooses their types;
both must agree."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from atlas_ds.bridge.arrow.numpy_lists import fixed_arrays, list_depth, shaped_arrays, stored, stored_array
from atlas_ds.bridge.arrow.python_values import bare, bare_array, is_list, plain_values
from atlas_ds.bridge.opening import read_all
from atlas_ds.errors import SchemaError, UnsupportedError
from atlas_ds.schema.media import Media, sniff
from atlas_ds.schema.schema import fault_of
from atlas_ds.schema.types import MAX_VALUE, SCALARS, Array, ClassLabel

Convert = Callable[[Any], list[Any]]
Feature = dict[str, Any]
Place = tuple[str, ...]  # of a column, or of a field of structs in one
UNLABELLED = -1  # Hugging Face's number of an example without a label
MEDIA = ("Image", "Audio", "Video")  # Hugging Face's names for columns of {bytes, path}


def is_media(kind: Any, feature: Feature) -> bool:
    import pyarrow.types as t

    names = {field.name for field in kind} if t.is_struct(kind) else set()
    return names == {"bytes", "path"} and feature.get("_type") in MEDIA


def array_of(kind: Any, feature: Feature) -> tuple[str, tuple[int | None, ...]] | None:
    """dtype and shape of a column of arrays, from Hugging Face (Array2D ...) or Arrow
    (fixed_shape_tensor); None for any other column."""
    import pyarrow as pa

    if isinstance(kind, pa.FixedShapeTensorType) and sorted(kind.permutation or ()) == list(kind.permutation or ()):
        return str(kind.value_type.to_pandas_dtype().__name__), tuple(kind.shape)
    name, shape, dtype = str(feature.get("_type")), feature.get("shape"), str(feature.get("dtype"))
    if not name.startswith("Array") or not isinstance(shape, list) or dtype not in SCALARS or list_depth(stored(kind)) != len(shape):
        return None
    return dtype, tuple(n if isinstance(n, int) else None for n in shape)


def label_of(kind: Any, feature: Feature) -> ClassLabel | None:
    """The type of a column of Hugging Face's class labels; None for any other column."""
    import pyarrow.types as t

    if feature.get("_type") != "ClassLabel" or not t.is_integer(kind):
        return None
    label = ClassLabel(tuple(feature.get("names") or ()))
    return label if fault_of(label) is None else None


def is_numbers(kind: Any) -> bool:
    """Whether a type is a list of numbers or of bools."""
    import pyarrow.types as t

    return is_list(kind) and bool(t.is_integer(kind.value_type) or t.is_floating(kind.value_type) or t.is_boolean(kind.value_type))


def number_lists(kind: Any, place: Place) -> Iterator[Place]:
    """The places of the lists of numbers in a column, which may be a struct."""
    import pyarrow.types as t

    kind = bare(kind)
    if t.is_struct(kind):
        for field in kind:
            yield from number_lists(field.type, (*place, field.name))
    elif is_numbers(kind):
        yield place


def converter(column: Any, feature: Feature, *, read_files: bool, hole: bool) -> Convert:
    """A function that converts the arrays of a column to values. hole: there are nulls inside
    its lists. Labels: Hugging Face's "unlabelled" is None."""
    import pyarrow as pa
    import pyarrow.types as t

    found = array_of(column.type, feature)
    if found is not None:
        return lambda array: _arrays(*found, stored_array(array))
    kind = bare(column.type)
    if is_media(kind, feature):
        return lambda array: [_media(value, read_files) for value in bare_array(array).to_pylist()]
    if label_of(kind, feature) is not None:
        return lambda array: [None if number == UNLABELLED else number for number in bare_array(array).to_pylist()]
    if (t.is_integer(kind) or t.is_floating(kind)) and kind not in (pa.int64(), pa.float64()):
        return lambda array: _narrow(bare_array(array))
    if is_numbers(kind) and not hole:
        return lambda array: [_numbers(scalar) for scalar in bare_array(array)]
    return partial(plain_values, typed=True)


def _arrays(dtype: str, shape: tuple[int | None, ...], column: Any) -> list[Any]:
    sizes = [n for n in shape if n is not None]
    if len(sizes) == len(shape):
        return fixed_arrays(column, Array(dtype, tuple(sizes)), "an array")
    return shaped_arrays(column, dtype, len(shape), "an array")


def _narrow(array: Any) -> list[object]:
    """NumPy scalars, which keep the width; a null is None."""
    values = list(array.fill_null(0).to_numpy(zero_copy_only=False)) if array.null_count else list(array.to_numpy())
    if array.null_count:
        valid = array.is_valid().to_pylist()
        return [value if ok else None for value, ok in zip(values, valid, strict=True)]
    return values


def _numbers(scalar: Any) -> object:
    if not scalar.is_valid:
        return None
    if scalar.values.null_count:
        raise SchemaError("a list with nulls among its numbers; fill them before converting")
    return scalar.values.to_numpy(zero_copy_only=False)


def _media(value: dict[str, Any] | None, read_files: bool) -> object:
    if value is None or (value["bytes"] is None and value["path"] is None):
        return None
    data = value["bytes"]
    if data is None and read_files:
        data = read_all(Path(value["path"]), MAX_VALUE)
    if data is None:
        raise UnsupportedError(f"only a path ({value['path']}), no bytes; embed the files first")
    return Media(data, sniff(data) or mimetypes.guess_type(value["path"] or "")[0] or "application/octet-stream")
