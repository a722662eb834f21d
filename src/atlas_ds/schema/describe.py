"""What a value is, in words, and as NumPy sees it. Knows torch tensors without importing torch; converts and stores nothing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from atlas_ds.errors import SchemaError


def describe(value: Any) -> str:
    """A value in an error message: its type, dtype, shape, and itself if it is short. Never raises."""
    if is_tensor(value):
        kind = _kind_of_tensor(value)
        return f"{'tensor' if kind else 'array'}({str(value.dtype).removeprefix('torch.')}, {_dimensions(() if value.is_nested else tuple(value.shape))}{kind})"
    if isinstance(value, np.ndarray):
        masked = "masked " if isinstance(value, np.ma.MaskedArray) else ""
        return f"{masked}array({value.dtype}, {_dimensions(value.shape)})"
    try:
        text = repr(value)
    except RecursionError:
        text = "nested too deeply to show"
    except Exception as error:  # of a class of the user's: its own repr must not hide the message that it is for
        text = f"whose repr raises {type(error).__name__}"
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _dimensions(shape: tuple[Any, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _kind_of_tensor(value: Any) -> str:
    """What keeps a tensor from being an array, in a word; empty for most tensors."""
    if value.is_nested:
        return ", nested"
    if value.is_meta:
        return ", on device meta"
    if value.is_quantized:
        return ", quantized"
    return "" if str(value.layout) == "torch.strided" else ", sparse"


def is_tensor(value: Any) -> bool:
    """Whether a value is a torch tensor, of a subclass too. Does not import torch: where there is a tensor, its library is loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, getattr(torch, "Tensor", ()))


def to_numpy(value: Any) -> Any:
    """A torch tensor as a NumPy array (bfloat16: its bits, as uint16); anything else as it is.

    SchemaError for a tensor without values in memory that NumPy has a dtype for; it does not name the column.
    """
    if not is_tensor(value):
        return value
    cure = _cure(value)
    if cure:
        raise SchemaError(f"{describe(value)} cannot be stored: {cure}")
    torch = sys.modules["torch"]
    try:
        plain = value.detach().resolve_conj().resolve_neg().cpu()
        if plain.dtype == torch.bfloat16:
            return plain.view(torch.int16).numpy().view(np.uint16)
        return plain.numpy()
    except (RuntimeError, TypeError, NotImplementedError) as cause:
        raise SchemaError(f"{describe(value)} cannot be stored: {cause}; convert it first, with value.to(torch.float32), say") from cause


def _cure(value: Any) -> str:
    """What to do with a tensor that is no array; empty where it is one."""
    if value.is_nested:
        return "store its parts: a list of arrays is one example each, or value.to_padded_tensor(0)"
    if value.is_meta:
        return "it has no values; store one that has"
    if value.is_quantized:
        return "store value.dequantize(), or value.int_repr()"
    if str(value.layout) != "torch.strided":
        return "store value.to_dense(), or its indices and values as two columns"
    if str(value.dtype).startswith(("torch.float8", "torch.float4")):
        return "store value.to(torch.float32), or its bits: value.view(torch.uint8)"
    return ""


def is_bfloat16(value: Any) -> bool:
    return str(getattr(value, "dtype", "")) in ("torch.bfloat16", "bfloat16")
