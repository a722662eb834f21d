"""Numbers into a declared column: exactly, or SchemaError. Scalars, arrays, lists of numbers, masked arrays.

Two conversions are not exact and say so in docs/guide/write.md: a float is rounded into a narrower column of floats (never to infinity),
and what has no shape or dtype of its own (a list) takes the column's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import chain
from math import isfinite, prod
from typing import Any

import numpy as np
import numpy.ma  # NumPy imports it when first used: a fork while another thread does so leaves the child with a held import lock

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.bfloat16 import int_fault, narrow_bfloat16, widen_bfloat16
from atlas_ds.schema.describe import describe, is_bfloat16, to_numpy
from atlas_ds.schema.types import MAX_DIMENSIONS, MAX_SHAPE, MAX_VALUE, SCALARS, Array, Field, Scalar, Tensor

Dtype = np.dtype[Any]
LARGEST = {name: float(np.finfo(name).max) for name in ("float16", "float32")}
EXACT = 1 << 53  # every int up to here is a float64
PLAIN = frozenset((bool, int, float, complex))
LISTS = frozenset((list, tuple))
MIXED_BOOLS = "bools and numbers are not converted into each other"
SAY_NULLABLE = "declare the column with atlas.types.nullable(...)"


def refusal(path: str, kind: Any, value: Any, why: str = "") -> SchemaError:
    return SchemaError(f"column {path!r}: expected {kind}, got {describe(value)}{': ' if why else ''}{why}")


def too_large(path: str, size: int) -> LimitError:
    """The error of a value that no reader would read."""
    return LimitError(f"column {path!r}: a value of {size} bytes; at most {MAX_VALUE} (256 MiB) can be read back: store it in parts, or a file's path as str")


def check_size(path: str, size: int) -> None:
    if size > MAX_VALUE:
        raise too_large(path, size)


def as_numpy(value: Any, path: str) -> Any:
    """to_numpy, with the column in its error."""
    try:
        return to_numpy(value)
    except SchemaError as cause:
        raise SchemaError(f"column {path!r}: {cause}") from cause


def numbers(value: Any, dtype: str, path: str) -> Any:
    """as_numpy, for a column of a dtype: the bits of a bfloat16 tensor where that is the column's, its numbers (float32) elsewhere."""
    given = as_numpy(unmasked(value, path), path)
    return widen_bfloat16(given) if dtype != "bfloat16" and is_bfloat16(value) and given.dtype == np.uint16 else given


def unmasked(value: Any, path: str) -> Any:
    """A masked array as a plain one; None where all of it is masked; SchemaError where some of it is. Anything else as it is."""
    if not isinstance(value, np.ma.MaskedArray):
        return value
    mask = np.ma.getmaskarray(value)
    if not mask.any():
        return np.asarray(value.data)
    if mask.all():
        return None
    parts = f"{int(mask.sum())} of its {mask.size} elements are masked, and an array has no place for that"
    raise SchemaError(f"column {path!r}: got {describe(value)}: {parts}: store value.filled(...), and value.mask as a column of its own")


# --- lists ---


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
        raise refusal(path, kind, values, "its lists have different lengths, so that it has no shape")
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
        why = _place(out, i, value, want)
        if not why and kind.dtype == "bfloat16" and isinstance(value, int | np.integer):
            why = int_fault(int(value))
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
        least, most = _range(want) if want.kind in "iu" else _range_of_ints(want)
        return ints.astype(want) if least <= int(ints.min()) and int(ints.max()) <= most else None
    return np.array(flat, want) if kinds == {bool} and want.kind == "b" else None


def _place(out: np.ndarray, i: int, value: Any, want: Dtype) -> str:
    """Puts a number into an array; says why it does not fit, or an empty text."""
    if isinstance(value, np.generic):
        if value.dtype == want:
            out[i] = value
            return ""
        value = value.item()
    if want.kind in "iu" and isinstance(value, int):
        least, most = _range(want)
        if not least <= value <= most:
            return f"{want} holds {least} to {most}"
        out[i] = value
        return ""
    if want.kind in "iu":
        return "a float is not an int"
    if want.kind == "f" and isinstance(value, complex):
        return "a complex number is not a float"
    try:
        with np.errstate(over="ignore"):
            out[i] = value
    except OverflowError:
        return f"it is too large for {want}"
    return _changed(value, out[i], want)


def _changed(value: Any, stored: Any, want: Dtype) -> str:
    """Why a Python number is not what a float or complex column would hold; rounding of floats is not a reason."""
    if isinstance(value, int) and want.kind != "b":
        real = float(stored.real)
        return "" if isfinite(real) and int(real) == value else f"{want} cannot hold this int exactly: declare an int column, or give a float"
    pairs = ((value.real, stored.real), (value.imag, stored.imag)) if isinstance(value, complex) else ((value, stored.real),)
    return f"it is too large for {want}" if any(isfinite(a) and not np.isfinite(b) for a, b in pairs) else ""


def _range_of_ints(want: Dtype) -> tuple[int, int]:
    """Every int between these is a value of a float or complex dtype."""
    most = 1 << (np.finfo(want).nmant + 1)
    return -most, most


def _range(want: Dtype) -> tuple[int, int]:
    info = np.iinfo(want)
    return int(info.min), int(info.max)


# --- arrays ---


def convert(array: np.ndarray, want: Dtype) -> tuple[np.ndarray, str]:
    """An array in another dtype, and why that would change its values, or an empty text."""
    have = array.dtype.newbyteorder("=")
    if have == want:
        out = array if array.dtype == want else array.astype(want)
        if want.kind == "b" and out.size and out.view(np.uint8).max() > 1:  # NumPy takes any byte but 0 for true; a reader does not
            out = out.view(np.uint8) != 0
        return out, ""
    if have.kind not in "biufc":
        return array, f"dtype {array.dtype} has no numbers: {_dtype_cure(have)}"
    if "b" in (have.kind, want.kind):
        return array, MIXED_BOOLS
    if not np.can_cast(have, want, "safe"):
        return array, f"{have} into {want} can change values: convert it yourself, with value.astype({want.name!r}), or declare the column as {have}"
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
        return array, f"{array.dtype} is not converted into bfloat16"
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
        raise LimitError(f"column {path!r}: an empty array of shape {array.shape}: the lengths that are not 0 multiply to more than 2^30")


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
        why = _place(out, 0, given, want)
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
        return f"{given.dtype} into {want} can change its value: convert it yourself"
    return ""
