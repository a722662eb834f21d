"""Values as torch tensors, and what torch's own DataLoader makes of them.

The one file that imports torch, and only inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from atlas_ds.schema.examples import like
from atlas_ds.schema.ragged import Ragged

INT64, UINT64 = 1 << 63, 1 << 64
FRAMES = 6  # between DataLoader's fetcher and a dataset: Subset, Subset of a Subset, Mix


def need_torch(what: str) -> None:
    """ImportError if torch cannot be used: raised where it is requested, not where the first row is
    read."""
    try:
        import torch  # noqa: F401
    except ImportError as cause:
        raise ImportError(f"{what} needs torch: pip install torch") from cause


def to_torch(value: Any, of: str = "") -> Any:
    """Arrays and numbers as tensors of the same dtype, which share memory with them where they can; str, bytes, media and objects as they
    are, arrays of text and objects as lists, datetime64 as NumPy has it. of: the column, for errors."""
    if isinstance(value, np.ndarray):
        return tensor_of(value, of)
    if isinstance(value, dict):
        return {name: to_torch(inner, f"{of}.{name}" if of else str(name)) for name, inner in value.items()}
    if isinstance(value, tuple):
        return like(value, [to_torch(inner, f"{of}.{k}" if of else str(k)) for k, inner in enumerate(value)])
    if isinstance(value, Ragged):
        return Ragged(to_torch(value.values, of), to_torch(value.offsets, of), value.shapes, value.mask)
    if isinstance(value, np.generic | bool | int | float | complex):
        return scalar_tensor(value, of)
    return value


def tensor_of(array: np.ndarray, of: str) -> Any:
    """An array as a tensor over its memory, or over a copy where a tensor cannot have it so. Text and objects: a list. datetime64: the array."""
    import torch

    if isinstance(array, np.ma.MaskedArray):  # of a nullable column, whether or not one of these rows is null
        if np.ma.getmaskarray(array).any():
            raise TypeError(
                f"{named(of)} has nulls, which have no torch form: fill it (column.filled(value), in transform=) or select other columns (columns=[...])"
            )
        array = array.data
    if array.dtype.kind in "OUST":
        return array.tolist()
    if array.dtype.kind == "M":
        return array
    if type(array) is not np.ndarray:  # np.matrix, np.memmap
        array = np.asarray(array)
    if not array.flags.writeable or not array.flags.aligned:
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except ValueError:  # negative strides, or another byte order
        return torch.from_numpy(np.array(array, array.dtype.newbyteorder("="), order="C"))
    except TypeError as cause:
        raise TypeError(f"{named(of)} is {array.dtype}, which has no torch form: {cure(array.dtype)}") from cause


def scalar_tensor(value: Any, of: str) -> Any:
    """A number as a tensor of its own dtype: float64 of a float, int64 of an int, or uint64 where that is too small. Larger ints stay ints."""
    import torch

    if isinstance(value, np.generic):
        return value if isinstance(value, str | bytes | np.datetime64) else tensor_of(np.asarray(value), of)
    if isinstance(value, bool):
        return torch.tensor(value)
    if isinstance(value, int):
        if -INT64 <= value < INT64:
            return torch.tensor(int(value))
        return torch.tensor(int(value), dtype=torch.uint64) if 0 <= value < UINT64 else value
    return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else torch.complex128)


def named(of: str) -> str:
    return f"column {of!r}" if of else "a column"


def cure(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "m":
        return "give its numbers (column.astype('int64'), in transform=)"
    if dtype.kind in "fc":
        return f"make it narrower (column.astype('{'float64' if dtype.kind == 'f' else 'complex128'}'), in transform=)"
    return "turn it into numbers or a list in transform=, or leave it out (columns=[...])"


def result_to_torch(value: Any, of: str = "") -> Any:
    """As to_torch, of what functions of users return: arrays in lists become tensors, too."""
    if isinstance(value, dict):
        return {name: result_to_torch(inner, f"{of}.{name}" if of else str(name)) for name, inner in value.items()}
    if isinstance(value, tuple):
        return like(value, [result_to_torch(inner, f"{of}.{k}" if of else str(k)) for k, inner in enumerate(value)])
    return listed(value, of) if type(value) is list else to_torch(value, of)


def listed(value: Any, of: str) -> Any:
    """A value in a list: arrays as tensors, numbers as they are."""
    if isinstance(value, np.ndarray):
        return tensor_of(value, of)
    if isinstance(value, dict):
        return {name: listed(inner, f"{of}.{name}" if of else str(name)) for name, inner in value.items()}
    if type(value) is list:
        return [listed(inner, of) for inner in value]
    return like(value, [listed(inner, of) for inner in value]) if isinstance(value, tuple) else value


def pinned(value: Any) -> Any:
    """Tensors in page-locked memory, from which a copy to an accelerator need not wait; as they are where there is no accelerator."""
    import torch

    if not torch.cuda.is_available():
        return value
    if isinstance(value, dict):
        return {name: pinned(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return like(value, map(pinned, value))
    if type(value) is list:
        return [pinned(inner) if isinstance(inner, torch.Tensor | dict | tuple | list) else inner for inner in value]
    if isinstance(value, Ragged):
        return Ragged(pinned(value.values), pinned(value.offsets), value.shapes, value.mask)
    return value.pin_memory() if isinstance(value, torch.Tensor) and value.device.type == "cpu" else value


# --- torch's own DataLoader -----------------------------------------------------


def meets_default_collate(frame: FrameType | None) -> bool:
    """Whether a call of __getitems__ comes from a DataLoader that gives the result to default_collate. frame: of the caller.

    There is no other way to know: default_collate gets plain examples and knows no columns, so what it raises names none, and a few
    values it changes without a word (of dicts with different keys, those that the first has not are lost).
    """
    from torch.utils.data import default_collate
    from torch.utils.data._utils.fetch import _MapDatasetFetcher

    for _ in range(FRAMES):
        if frame is None:
            return False
        if frame.f_code is _MapDatasetFetcher.fetch.__code__:
            return frame.f_locals["self"].collate_fn is default_collate
        frame = frame.f_back
    return False


def for_default_collate(examples: list[Any]) -> list[Any]:
    """The examples with tensors in place of numbers that default_collate does not take (uint64, complex). TypeError, with column and cure,
    where it takes none."""
    return taken(examples, "")


def taken(values: list[Any], of: str) -> list[Any]:
    """The values of a column, as default_collate takes them."""
    import torch

    first, kinds = values[0], set(map(type, values))
    if (len(kinds) == 1 and kinds <= PLAIN) or all(isinstance(value, str) for value in values):
        return values
    if type(None) in kinds:
        raise refused(of, "has a row without a value (None)")
    if all(isinstance(value, np.ndarray | np.generic) and not isinstance(value, str | bytes) for value in values):
        if any(value.dtype.kind == "M" for value in values):
            raise refused(of, "has datetime64")
        values = [tensor_of(np.asanyarray(value), of) for value in values]
        first, kinds = values[0], set(map(type, values))
    if len(kinds) > 1 and all(isinstance(value, NUMBERS) for value in values):
        return taken(one_type(values, of), of)
    if kinds == {int}:
        return values if all(-INT64 <= value < INT64 for value in values) else big(values, of)
    if kinds == {complex}:
        return [torch.tensor(value, dtype=torch.complex128) for value in values]
    if all(isinstance(value, torch.Tensor) for value in values):
        if len({(value.shape, value.dtype) for value in values}) > 1:
            raise refused(of, f"has arrays of different shapes or dtypes ({shown(first)} and others)")
        return values
    if all(isinstance(value, dict) for value in values):
        return taken_dicts(values, of)
    if all(isinstance(value, tuple | list) for value in values):
        return taken_rows(values, of)
    if len(kinds) == 1 and (isinstance(first, Mapping | Sequence) or default_takes(first)):
        return values
    what = type(first).__name__ if len(kinds) == 1 else "values of several types: " + ", ".join(sorted(kind.__name__ for kind in kinds))
    raise refused(of, f"has {what}")


PLAIN = {str, bytes, bool, float}
NUMBERS = (int, float, np.bool_, np.integer, np.floating)


def one_type(values: list[Any], of: str) -> list[Any]:
    """Numbers of several types as floats, if one is a float, else as ints; default_collate would round to float32 where an int comes first."""
    if not any(isinstance(value, float | np.floating) for value in values):
        return [int(value) for value in values]
    floats = [float(value) for value in values]
    if any(number != value and value == value for number, value in zip(floats, values, strict=True)):
        raise refused(of, "has floats, and ints that no float can hold exactly")
    return floats


def big(values: list[int], of: str) -> list[Any]:
    import torch

    if all(0 <= value < UINT64 for value in values):
        return [torch.tensor(value, dtype=torch.uint64) for value in values]
    raise refused(of, "has ints that fit neither int64 nor uint64")


def taken_dicts(values: list[Any], of: str) -> list[Any]:
    first = values[0]
    if any(value.keys() != first.keys() for value in values):
        raise refused(of, "has dicts of different keys")
    columns = {name: taken([value[name] for value in values], f"{of}.{name}" if of else str(name)) for name in first}
    return [{**value, **dict(zip(columns, row, strict=True))} for value, row in zip(values, zip(*columns.values(), strict=True), strict=True)] or values


def taken_rows(values: list[Any], of: str) -> list[Any]:
    first = values[0]
    if any(len(value) != len(first) or type(value) is not type(first) for value in values):
        raise refused(of, "has lists of different lengths")
    columns = [taken([value[k] for value in values], f"{of}.{k}" if of else str(k)) for k in range(len(first))]
    rows = zip(*columns, strict=True) if columns else [()] * len(values)
    return [list(row) if isinstance(first, list) else like(first, row) for row in rows]


def default_takes(value: Any) -> bool:
    from torch.utils.data._utils.collate import default_collate_fn_map

    return isinstance(value, tuple(kind for kinds in default_collate_fn_map for kind in (kinds if isinstance(kinds, tuple) else (kinds,))))


def shown(value: Any) -> str:
    return f"{value.dtype} {tuple(value.shape)}"


def refused(of: str, why: str) -> TypeError:
    return TypeError(
        f"{named(of)} {why}, which torch's default_collate cannot make a batch of: DataLoader(..., collate_fn=atlas_ds.collate) returns such a column "
        "as a list; or change it with map(), or leave it out when you open the dataset"
    )
