"""What is written of a value for which tars have no form of its own: moments and days as text, lists as arrays where the file is one,
class labels as numbers; and the notes that say so. columns_out.py chooses the files.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Date, Field, Struct, Tensor, Timestamp, Type
from atlas_ds.text import listed

Change = Callable[[Any], Any]
ARRAYS = ("npy", "npz", "tenbin")  # kinds of files that hold arrays


def change_of(kind: Type, file_kind: str | None) -> Change | None:
    """What makes the written value of one of a type; None: it is written as it is. file_kind: of by_extension.py."""
    match kind:
        case Timestamp(_, tz):
            return partial(_text, offset="+00:00" if tz is not None else "")
        case Date():
            return _text
        case Array(dtype, _, True) | Tensor(dtype, _, True) if file_kind in ARRAYS:
            return partial(_array, dtype=np.dtype("float32") if dtype == "bfloat16" else SCALARS[dtype])
        case Struct(fields):
            changes = {field.name: change for field in fields if (change := change_of(field.type, file_kind)) is not None}
            return partial(_dict, changes=changes) if changes else None
        case _:
            return None


def _text(value: Any, offset: str = "") -> str | None:
    """ISO 8601. offset: of a datetime64, which is in UTC."""
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime.date) else f"{value}{offset}"


def _array(value: Any, dtype: np.dtype[Any]) -> np.ndarray | None:
    return None if value is None else np.asarray(value, dtype)


def _dict(value: Any, changes: Mapping[str, Change]) -> Any:
    return None if value is None else {name: changes[name](inner) if name in changes else inner for name, inner in value.items()}


def notes_of(field: Field, path: str) -> Iterator[str]:
    """What a column loses."""
    match field.type:
        case Array(dtype, _, False) | Tensor(dtype, _, False) if dtype == "bfloat16":  # NumPy has none
            yield f"{path}: bfloat16 is written as float32, which holds all of its values"
        case Timestamp() | Date():
            yield f"{path}: {field.type} is written as text (ISO 8601), and reads back as text"
        case ClassLabel(names):
            yield f"{path}: class labels are written as numbers, without their names: {listed(names, 10)}"
        case Struct(fields):
            for inner in fields:
                yield from notes_of(inner, f"{path}.{inner.name}")
