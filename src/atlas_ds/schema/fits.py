"""Whether a value fits a column: numbers one by one, sizes, masks, and the words for where it does not. Arrays: arrays.py; lists: lists.py."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import numpy.ma  # NumPy imports it when first used: a fork while another thread does so leaves the child with a held import lock

from atlas_ds.errors import LimitError, SchemaError
from atlas_ds.schema.bfloat16 import widen_bfloat16
from atlas_ds.schema.describe import describe, is_bfloat16, to_numpy
from atlas_ds.schema.types import MAX_VALUE

Dtype = np.dtype[Any]
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
    parts = f"{int(mask.sum())} of its {mask.size} elements are masked, which an array cannot store"
    raise SchemaError(f"column {path!r}: got {describe(value)}: {parts}: store value.filled(...), and value.mask as a column of its own")


def place(out: np.ndarray, i: int, value: Any, want: Dtype) -> str:
    """Puts a number into an array; says why it does not fit, or an empty text."""
    if isinstance(value, np.generic):
        if value.dtype == want:
            out[i] = value
            return ""
        value = value.item()
    if want.kind in "iu" and isinstance(value, int):
        least, most = int_range(want)
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


def int_range(want: Dtype) -> tuple[int, int]:
    info = np.iinfo(want)
    return int(info.min), int(info.max)
