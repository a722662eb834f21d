"""bfloat16, which NumPy does not have: its bits, as uint16, from floats and back."""

from __future__ import annotations

from math import isfinite

import numpy as np


def narrow_bfloat16(values: np.ndarray) -> np.ndarray:
    """Floats to the bits of bfloat16, rounded to nearest even; NaN stays NaN, and what was widened from bfloat16 keeps its bits."""
    given = np.asarray(values)
    bits = np.array(_round_to_odd(given) if given.dtype == np.float64 else given, np.float32, order="C").view(np.uint32)
    upper = (bits >> 16).astype(np.uint16)
    with np.errstate(over="ignore"):
        rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    exact = (bits & 0xFFFF) == 0
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(exact, upper, np.where(nan, upper | np.uint16(0x40), rounded))


def _round_to_odd(values: np.ndarray) -> np.ndarray:
    """float64 to float32 such that rounding once more gives what rounding once would: what is inexact gets an odd last bit."""
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.array(values, np.float32, order="C")
    bits = out.view(np.uint32)
    wide = out.astype(np.float64)
    inexact = np.isfinite(wide) & (wide != values)
    beyond = inexact & (np.abs(wide) > np.abs(values))
    bits[beyond] -= 1
    bits[inexact] |= 1
    return out


def int_fault(value: int) -> str:
    """Why bfloat16 does not hold an int that float64 holds, or an empty text."""
    real = float(widen_bfloat16(narrow_bfloat16(np.array([value], np.float64)))[0])
    return "" if isfinite(real) and int(real) == value else "bfloat16 cannot hold this int exactly: declare an int column, or give a float"


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 as float32, exactly."""
    out: np.ndarray = (bits.astype(np.uint32) << 16).view(np.float32)
    return out
