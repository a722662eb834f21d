"""Scalars and arrays into a declared column: exactly, or SchemaError. Lists are taken apart in lists.py.

Two conversions are not exact and say so in docs/guide/write.md: a float is rounded into a narrower column of floats (never to infinity),
and what has no shape or dtype of its own (a list) takes the column's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from atlas_ds.errors import LimitError
from atlas_ds.schema.bfloat16 import int_fault, narrow_bfloat16, widen_bfloat16
from atlas_ds.schema.describe import is_bfloat16
from atlas_ds.schema.fits import MIXED_BOOLS, SAY_NULLABLE, Dtype, check_size, numbers, place, refusal
from atlas_ds.schema.lists import from_list
from atlas_ds.schema.types import MAX_DIMENSIONS, MAX_SHAPE, SCALARS, Array, Field, Scalar, Tensor

EXACT = 1 << 53  # every int up to here is a float64


def convert(array: np.ndarray, want: Dtype) -> tuple[np.ndarray, str]:
    """An array in another dtype, and why that would change its values, or an empty text."""
    have = array.dtype.newbyteorder("=")
    if have == want:
        out = array if array.dtype == want else array.astype(want)
        if want.kind == "b" and out.size and out.view(np.uint8).max() > 1:  # NumPy takes any byte but 0 for true; a reader does not
            out = out.view(np.uint8) != 0
        return out, ""
    if have.kind not in "biufc":
        return array, f"dtype {array.dtype} is not numeric: {_dtype_cure(have)}"
    if "b" in (have.kind, want.kind):
        return array, MIXED_BOOLS
    if not np.can_cast(have, want, "safe"):
        return array, f"converting {have} to {want} can change values: convert it yourself, with value.astype({want.name!r}), or declare the column as {have}"
    out = array.astype(want)
    if have.kind in "iu" and want.kind in "fc" and have.itemsize == 8 and not _ints_exact(array, out.real):
        return array, f"{want} cannot hold its ints beyond 2^53 exactly: declare the column as {have}"
    return out, ""


def _ints_exact(ints: np.ndarray, floats: np.ndarray) -> bool:
    large = (ints > EXACT) | (ints < -EXACT) if ints.dtype.kind == "i" else ints > EXACT
    if not large.any():
        return True
    return all(a == int(b) for a, b in zip(ints[large].tolist(), floats[large].tolist(), strict=True))


def _dtype_cure(dtype: Dtype) -> str:
    if dtype.names is not None:
        return "store its fields as a dict of arrays"
    if dtype.kind in "US":
        return "store a list of str or bytes"
    if dtype.kind in "mM":
        return "store value.astype('int64'), counted in a unit that you choose"
    if dtype.kind == "O":
        return "give it a dtype, or store a list"
    return "store value.astype('float64'), or another dtype that can be stored"


def _bfloat16_bits(array: np.ndarray, has_bits: bool) -> tuple[np.ndarray, str]:
    """The bits of an array in a bfloat16 column, and why that would change it otherwise than by rounding."""
    if has_bits:
        return array, ""
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        return array, f"{array.dtype} cannot be converted to bfloat16"
    floats = array if array.dtype.kind == "f" else array.astype(np.float64)
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        return array, _dtype_cure(array.dtype)
    bits = narrow_bfloat16(floats)
    back = widen_bfloat16(bits)
    if array.dtype.kind in "iu":
        same = np.array_equal(back.astype(np.float64), floats) and (array.dtype.itemsize < 8 or _ints_exact(array, floats))
        return bits, "" if same else "bfloat16 cannot hold its ints exactly: declare an int column, or give floats"
    if (np.isfinite(floats) & ~np.isfinite(back)).any():
        return array, "a value is too large for bfloat16"
    return bits, ""


def to_array(value: Any, field: Field, path: str) -> np.ndarray:
    """A C-contiguous array that fits an array or tensor field; SchemaError otherwise."""
    kind = field.type
    assert isinstance(kind, Array | Tensor)
    want = SCALARS[kind.dtype]
    given = numbers(value, kind.dtype, path)
    if isinstance(given, list | tuple):
        given = from_list(given, kind, path)
    if not isinstance(given, np.ndarray | np.generic):
        raise refusal(path, kind, value, SAY_NULLABLE if given is None else "")
    array = np.asarray(given)
    if kind.dtype == "bfloat16":
        array, why = _bfloat16_bits(array, is_bfloat16(value) and array.dtype == np.uint16)
    else:
        array, why = convert(array, want)
    if why:
        raise refusal(path, kind, value, why)
    check_shape(array, kind, value, path)
    return array if array.flags.c_contiguous else np.array(array, order="C", ndmin=array.ndim)


def check_shape(array: np.ndarray, kind: Array | Tensor, value: Any, path: str) -> None:
    """The shape is the column's, and one that a reader accepts."""
    if isinstance(kind, Array):
        if array.shape != kind.shape:
            raise refusal(path, kind, value)
        return
    if (kind.ndim is not None and array.ndim != kind.ndim) or array.ndim > MAX_DIMENSIONS:
        raise refusal(path, kind, value)
    check_size(path, array.nbytes)
    if array.size == 0 and prod(n or 1 for n in array.shape) > MAX_SHAPE:
        raise LimitError(f"column {path!r}: an empty array of shape {array.shape}: its nonzero lengths multiply to more than 2^30")


# --- scalars ---


def scalar_bytes(value: Any, field: Field, path: str) -> bytes:
    """The bytes of a number that fits a scalar field; SchemaError otherwise."""
    kind = field.type
    assert isinstance(kind, Scalar)
    quick = _PACKERS.get((type(value), kind.dtype))
    if quick is not None:
        try:
            return quick(value)
        except (OverflowError, struct.error):
            pass  # told below
    given = numbers(value, kind.dtype, path)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given[()]
    want = SCALARS[kind.dtype]
    if kind.dtype == "bfloat16":
        if is_bfloat16(value) and isinstance(given, np.uint16):
            return given.tobytes()
        want = SCALARS["float64"]
    elif isinstance(given, np.generic) and given.dtype == want:
        return given.tobytes()
    why = _scalar_fault(given, want, field)
    out = np.zeros(1, want)
    if not why:
        why = place(out, 0, given, want)
    if not why and kind.dtype == "bfloat16":
        bits, why = _bfloat16_bits(np.asarray([given]) if isinstance(given, np.number) else out, False)
        if isinstance(given, int | np.integer):
            why = int_fault(int(given))
        out = bits
    if why:
        raise refusal(path, kind, value, why if why != "type" else "")
    return out.tobytes()


_CODES = zip(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), "bhiqBHIQ", strict=True)
# What takes the numbers that most columns are given, or raises where one does not fit.
_PACKERS: dict[tuple[type, str], Callable[[Any], bytes]] = {
    **{(int, name): struct.Struct(code).pack for name, code in _CODES},
    (float, "float32"): struct.Struct("=f").pack,  # with "=" it says where a float is too large
    (float, "float64"): struct.Struct("d").pack,
    **{(dtype.type, name): dtype.type.tobytes for name, dtype in SCALARS.items() if name != "bfloat16"},
}


def _scalar_fault(given: Any, want: Dtype, field: Field) -> str:
    """Why a value is not of a type that may go into a scalar column; "type" where its type says so itself."""
    if isinstance(given, np.generic) and given.dtype.kind in "biufc" and given.dtype.name not in SCALARS:
        return _dtype_cure(given.dtype)
    if isinstance(given, bool | np.bool_) or want.kind == "b":
        return "" if isinstance(given, bool | np.bool_) and want.kind == "b" else "type"
    if isinstance(given, int | np.integer):
        return ""
    good: tuple[type, ...] = {"i": (), "u": (), "f": (float, np.floating)}.get(want.kind, (float, complex, np.floating, np.complexfloating))
    if not isinstance(given, good):
        return "type"
    if field.numpy and isinstance(given, np.generic) and field.type != Scalar("bfloat16") and not np.can_cast(given.dtype, want, "safe"):
        return f"converting {given.dtype} to {want} can change its value: convert it yourself"
    return ""
