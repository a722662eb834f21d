"""Batches as nested columns: dicts and tuples of arrays, Ragged and lists. Parts of them, rows picked and put together, their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from atlas_ds.schema.examples import like
from atlas_ds.schema.media import Media
from atlas_ds.schema.ragged import Ragged, join_ragged, pick_ragged
from atlas_ds.schema.types import SCALARS, Array, ClassLabel, Field, Scalar, Struct, number_dtype


def fixed_columns(fields: tuple[Field, ...], prefix: str = "") -> list[tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]]:
    """(path, (dtype, shape of a row)) of the columns that are read into arrays as they are."""
    found: list[tuple[str, tuple[np.dtype[Any], tuple[int, ...]]]] = []
    for field in fields:
        kind = field.type
        if field.nullable or (isinstance(kind, Scalar | Array) and kind.dtype == "bfloat16"):
            continue
        if isinstance(kind, Struct):
            found += fixed_columns(kind.fields, f"{prefix}{field.name}.")
        elif isinstance(kind, Scalar | Array | ClassLabel):
            found.append((prefix + field.name, (SCALARS[number_dtype(kind) or ""], kind.shape if isinstance(kind, Array) else ())))
    return found


def check_out(out: Any, fields: tuple[Field, ...]) -> None:
    """Refuses arrays for columns that cannot be read into one. Whether an array has the right form is seen where it is filled."""
    if not isinstance(out, dict):
        raise TypeError(f"out= must be a dict of column names to arrays, not {type(out).__name__}")
    able = dict(fixed_columns(fields))
    paths = dict(walk(fields))
    for path, array in out.items():
        possible = "out= takes " + (", ".join(map(repr, able)) or "none of these columns")
        if path not in paths:
            raise KeyError(f"out[{path!r}]: no such column is read; {possible}")
        if path not in able:
            raise ValueError(f"out[{path!r}]: {why_not(paths[path])} cannot be read into an array; {possible}")
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise ValueError(f"out[{path!r}] must be a plain NumPy array, not {type(array).__name__}")
    arrays = [(path, array) for path, array in out.items() if isinstance(array, np.ndarray)]
    for number, (path, array) in enumerate(arrays):
        for other, another in arrays[:number]:
            if np.may_share_memory(array, another):
                raise ValueError(f"out[{other!r}] and out[{path!r}] share memory: each column needs an array of its own")


def walk(fields: tuple[Field, ...], prefix: str = "", absent: bool = False) -> Iterator[tuple[str, Field]]:
    """(path, field) of all fields; those of a struct that may be absent are nullable."""
    for field in fields:
        field = replace(field, nullable=True) if absent else field
        yield prefix + field.name, field
        if isinstance(field.type, Struct):
            yield from walk(field.type.fields, f"{prefix}{field.name}.", field.nullable)


def why_not(field: Field) -> str:
    """What a column is that has no array of its own."""
    if isinstance(field.type, Struct):
        return "a struct"
    if isinstance(field.type, Scalar | Array | ClassLabel):
        return f"a nullable column ({field.type})" if field.nullable else "a bfloat16 column (it is widened to float32)"
    return f"a column of {field.type}"


def part(columns: Any, start: int, stop: int) -> Any:
    """Rows start .. stop of a batch; arrays are views."""
    if isinstance(columns, dict):
        return {name: part(column, start, stop) for name, column in columns.items()}
    if isinstance(columns, tuple):
        return like(columns, [part(column, start, stop) for column in columns])
    if isinstance(columns, Ragged):
        offsets = columns.offsets[start : stop + 1]
        shapes = None if columns.shapes is None else columns.shapes[start:stop]
        mask = None if columns.mask is None else columns.mask[start:stop]
        return Ragged(columns.values[offsets[0] : offsets[-1]], offsets - offsets[0], shapes, mask)
    return columns[start:stop]


def take(columns: Any, rows: np.ndarray) -> Any:
    """Some rows of a batch, in any order."""
    if isinstance(columns, dict):
        return {name: take(column, rows) for name, column in columns.items()}
    if isinstance(columns, tuple):
        return like(columns, [take(column, rows) for column in columns])
    if isinstance(columns, np.ndarray):
        return columns[rows]
    return pick_ragged(columns, rows) if isinstance(columns, Ragged) else [columns[i] for i in rows.tolist()]


def join(parts: list[Any], back: np.ndarray) -> Any:
    """The rows of several batches one after another, then in the order `back` (positions, int64)."""
    first = parts[0]
    if isinstance(first, dict):
        return {name: join([part[name] for part in parts], back) for name in first}
    if isinstance(first, tuple):
        return like(first, [join(list(column), back) for column in zip(*parts, strict=True)])
    if isinstance(first, np.ma.MaskedArray) or any(isinstance(part, np.ma.MaskedArray) for part in parts):
        mask = np.concatenate([np.ma.getmaskarray(part) for part in parts])  # np.ma.concatenate gives no mask where nothing is masked
        return np.ma.MaskedArray(np.concatenate([np.ma.getdata(part) for part in parts]), mask)[back]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)[back]
    if all(isinstance(part, Ragged) and part.values.dtype == first.values.dtype for part in parts):
        return pick_ragged(join_ragged(parts), back)
    values = [value for part in parts for value in (part if isinstance(part, list) else [part[i] for i in range(len(part))])]
    return [values[i] for i in back]


def size_of(columns: Any) -> int:
    """About how many bytes a batch takes."""
    if isinstance(columns, dict):
        return sum(map(size_of, columns.values()))
    if isinstance(columns, np.ndarray):
        return columns.nbytes
    if hasattr(columns, "nbytes") and hasattr(columns, "device"):
        return int(columns.nbytes)
    if isinstance(columns, Ragged):
        return size_of(columns.values) + size_of(columns.offsets)
    if isinstance(columns, tuple | list):
        few = columns[:: max(1, len(columns) // 16)]
        return sum(map(size_of, few)) * len(columns) // max(1, len(few)) + 64
    if isinstance(columns, Media):
        return len(columns.data) + 100
    if isinstance(columns, str | bytes | bytearray | memoryview):
        return len(columns) + 60
    return 32
