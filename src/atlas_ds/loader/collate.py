"""Collates examples into a batch: into columns of arrays, the default of the loader, and for users as tensors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from atlas_ds.schema.examples import like
from atlas_ds.schema.tensors import result_to_torch


def collate(examples: Sequence[Any]) -> Any:
    """Makes a batch of examples for torch's DataLoader, as `Loader` does.

    `DataLoader(ds, collate_fn=atlas.collate)` uses it. Numbers and arrays of one shape become
    tensors of the same dtype. Everything else becomes a list: strings, bytes, media, dates,
    objects, arrays of different shapes (a list of tensors), and columns in which a value is None.
    See docs/guide/torch.md#which-columns-make-a-batch.

    Parameters
    ----------
    examples
        The examples of a batch.

    Returns
    -------
    dict, tuple or column
        In the form of an example.
    """
    return result_to_torch(join_examples(examples))


def join_examples(examples: Sequence[Any]) -> Any:
    """Collates examples into columns: arrays of one shape and dtype, and numbers of one type, are stacked; everything else
    becomes a list. Dicts with the same keys and tuples of one length keep their structure; masked arrays stay masked; tensors
    are detached, and those of a dtype that NumPy lacks stay tensors."""
    if not examples:
        return []
    first = examples[0]
    if isinstance(first, dict) and all(isinstance(example, dict) and example.keys() == first.keys() for example in examples):
        return {name: join_examples([example[name] for example in examples]) for name in first}
    if isinstance(first, tuple) and all(isinstance(example, tuple) and form(example) == form(first) for example in examples):
        return like(first, [join_examples(column) for column in zip(*examples, strict=True)])
    kinds = set(map(type, examples))
    if any(hasattr(kind, "detach") for kind in kinds):
        examples = [as_array(example) for example in examples]
        if all(map(is_tensor, examples)):
            return stacked_tensors(examples)
        first, kinds = examples[0], set(map(type, examples))
    if isinstance(first, np.ndarray):
        return stacked(examples)
    if len(kinds) > 1:
        return list(examples)
    kind = type(first)
    if isinstance(first, int) and kind is not bool:
        return as_integers(examples)
    if isinstance(first, np.generic):
        return np.array(examples) if kind not in (np.str_, np.bytes_) and all(e.dtype == first.dtype for e in examples) else list(examples)
    return np.array(examples) if isinstance(first, bool | float | complex) else list(examples)


def form(row: tuple[Any, ...]) -> tuple[int, Any]:
    """Length, and names if it is a namedtuple."""
    return len(row), getattr(row, "_fields", None)


def stacked(arrays: Sequence[Any]) -> Any:
    """Arrays of one shape and dtype as one array; others as a list."""
    first = arrays[0]
    if not all(isinstance(array, np.ndarray) and array.shape == first.shape and array.dtype == first.dtype for array in arrays):
        return list(arrays)
    if any(isinstance(array, np.ma.MaskedArray) for array in arrays):
        return np.ma.stack(arrays)
    return np.stack([np.asarray(array) for array in arrays])  # np.matrix would lose a dimension


def is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "device")


def as_array(value: Any) -> Any:
    """A detached tensor, as an array if NumPy has its dtype; anything else unchanged."""
    if not is_tensor(value):
        return value
    value = value.detach()
    if value.device.type != "cpu":
        return value
    try:
        return value.resolve_conj().resolve_neg().numpy()
    except TypeError:  # bfloat16, float8, sparse
        return value


def stacked_tensors(tensors: Sequence[Any]) -> Any:
    first = tensors[0]
    alike = all(t.shape == first.shape and t.dtype == first.dtype and t.layout == first.layout and t.device == first.device for t in tensors)
    return sys.modules["torch"].stack(list(tensors)) if alike else list(tensors)  # the examples are tensors, so torch is loaded


def as_numpy(value: Any) -> Any:
    """The result of a user's function with arrays in place of tensors; bfloat16 as float32, which holds it exactly."""
    if isinstance(value, dict):
        return {name: as_numpy(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return like(value, map(as_numpy, value))
    if type(value) is list and any(map(is_tensor, value)):
        return [as_numpy(inner) for inner in value]
    if not is_tensor(value):
        return value
    value = as_array(value.detach().cpu())
    return value if isinstance(value, np.ndarray) else as_array(value.float()) if value.dtype.is_floating_point else value


def as_integers(numbers: Sequence[int]) -> Any:
    """As int64; as uint64 if that is too small; otherwise a list. Never float64."""
    least, most = min(numbers), max(numbers)
    if least >= -(1 << 63) and most < 1 << 63:
        return np.array(numbers, np.int64)
    return np.array(numbers, np.uint64) if least >= 0 and most < 1 << 64 else list(numbers)
