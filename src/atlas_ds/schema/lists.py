"""Nested lists of numbers as arrays of a column's dtype: exact, or refused with the element that does not fit."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError
from atlas_ds.schema.bfloat16 import int_fault, widen_bfloat16
from atlas_ds.schema.describe import describe, is_bfloat16
from atlas_ds.schema.fits import MIXED_BOOLS, Dtype, as_numpy, int_range, place, refusal, unmasked
from atlas_ds.schema.types import MAX_DIMENSIONS, SCALARS, Array, Tensor

PLAIN = frozenset((bool, int, float, complex))
LISTS = frozenset((list, tuple))
LARGEST = {name: float(np.finfo(name).max) for name in ("float16", "float32")}


def _levels(values: list[Any] | tuple[Any, ...]) -> tuple[tuple[int, ...] | None, list[Any] | None, set[type]]:
    """Shape, numbers and their types of nested lists of plain numbers, level by level; no numbers where there is anything else in them, or too much."""
    shape = [len(values)]
    level: Any = values
    while len(shape) <= MAX_DIMENSIONS:
        kinds = set(map(type, level))
        if kinds <= PLAIN:
            return tuple(shape), level, kinds
        lengths = set(map(len, level)) if kinds <= LISTS else ()
        if len(lengths) != 1:
            break
        shape += lengths
        level = list(chain.from_iterable(level))
    return None, None, set()


def _flatten(values: list[Any] | tuple[Any, ...], path: str, out: list[Any], kinds: set[type], depth: int = 0) -> tuple[int, ...] | None:
    """Puts the numbers of nested lists into out (arrays among them element by element) and their types into kinds.

    Returns the shape, None where lengths differ.
    """
    if depth > MAX_DIMENSIONS:
        raise SchemaError(f"column {path!r}: lists are nested deeper than the {MAX_DIMENSIONS} dimensions of an array")
    types = set(map(type, values))
    if types <= PLAIN:
        kinds |= types
        out += values
        return (len(values),)
    shapes = set()
    for value in values:
        if isinstance(value, list | tuple):
            shapes.add(_flatten(value, path, out, kinds, depth + 1))
            continue
        plain = as_numpy(unmasked(value, path), path)
        if plain is None:
            raise SchemaError(f"column {path!r}: a list with None or a masked value in it is not an array of numbers: use NaN, or a column of type 'object'")
        if isinstance(plain, np.ndarray) and plain.dtype.name in SCALARS:
            some = widen_bfloat16(plain).ravel().tolist() if is_bfloat16(value) else plain.ravel().tolist()
            shapes.add(plain.shape)
        else:
            some = [plain]
            shapes.add(())
        kinds |= set(map(type, some))
        out += some
    first = shapes.pop()
    return None if shapes or first is None else (len(values), *first)


def from_list(values: list[Any] | tuple[Any, ...], kind: Array | Tensor, path: str) -> np.ndarray:
    """Nested lists of numbers as an array of the column's dtype (bfloat16: of float64); SchemaError where one does not fit."""
    want = SCALARS["float64" if kind.dtype == "bfloat16" else kind.dtype]
    shape, flat, kinds = _levels(values)
    if flat is None:
        flat = []
        shape = _flatten(values, path, flat, kinds)
    if shape is None:
        raise refusal(path, kind, values, "its lists have different lengths, so it has no shape")
    out = _all_alike(flat, kinds, want)
    if out is not None and kind.dtype != "bfloat16":
        return out.reshape(shape)
    odd = next((t for t in kinds if not issubclass(t, bool | int | float | complex | np.bool_ | np.number)), None)
    if odd is not None:
        raise refusal(path, kind, values, f"a {odd.__name__} in it is not a number")
    if kinds and not all(issubclass(t, bool | np.bool_) == (want.kind == "b") for t in kinds):
        raise refusal(path, kind, values, MIXED_BOOLS)
    out = np.empty(len(flat), want)
    for i, value in enumerate(flat):
        why = place(out, i, value, want)
        if not why and kind.dtype == "bfloat16" and isinstance(value, int | np.integer):
            why = int_fault(int(value))
        if why and kind.list and want.kind in "iu" and isinstance(value, float):
            why += ': declare the column as atlas.types.list("float64")'
        if why:
            raise refusal(path, kind, values, f"element {i} is {describe(value)}: {why}")
    return out.reshape(shape)


def _all_alike(flat: list[Any], kinds: set[type], want: Dtype) -> np.ndarray | None:
    """The array of a list of floats only, of ints only or of bools only, where it is plain that all of them fit; else None."""
    if kinds == {float} and want.kind == "f":
        wide = np.array(flat, np.float64)
        if want == wide.dtype:
            return wide
        return wide.astype(want) if float(np.abs(wide).max()) <= LARGEST[want.name] else None
    if kinds == {int}:
        try:
            ints = np.array(flat, np.int64)
        except OverflowError:
            return None
        if want.kind == "b" or want == ints.dtype:
            return None if want.kind == "b" else ints
        least, most = int_range(want) if want.kind in "iu" else _range_of_ints(want)
        return ints.astype(want) if least <= int(ints.min()) and int(ints.max()) <= most else None
    return np.array(flat, want) if kinds == {bool} and want.kind == "b" else None


def _range_of_ints(want: Dtype) -> tuple[int, int]:
    """Every int between these is a value of a float or complex dtype."""
    most = 1 << (np.finfo(want).nmant + 1)
    return -most, most
