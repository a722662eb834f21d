"""Reads NumPy files: .npy, one example per row of the first axis, memory-mapped; .npz, one column
per array.

Pickled (object) arrays are always refused. Arrays in a folder of samples are read by fields.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atlas_ds.bridge.opening import map_bytes, open_regular, unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.bridge.values.npy import npz_members, view_npy
from atlas_ds.errors import CorruptError, LimitError, SchemaError

Array = npt.NDArray[np.generic]


def read_npy(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Rows as {"value": row}, or one column per field if the array is structured."""
    array = view_npy(map_bytes(path), str(path))
    columns: dict[str, Array] = {"value": array}
    if array.dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
    return _columns("npy", path, columns)


def read_npz(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Rows across all arrays of the archive, which are held in memory: zip members cannot be
    memory-mapped."""
    columns: dict[str, Array] = {}
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            for name, member in npz_members(file, size, str(path), None, options.max_expansion):
                columns[name] = view_npy(member, f"{path}: member {name!r}")
    except OSError as error:
        raise unreadable(path, error) from error
    except MemoryError:
        raise LimitError(f"{path}: its arrays do not fit into memory; save them as .npy files, which are mapped") from None
    if not columns:
        raise SchemaError(f"{path}: has no arrays; nothing to convert")
    return _columns("npz", path, columns)


def _columns(kind: str, path: Path, columns: dict[str, Array]) -> Source:
    for name, array in columns.items():
        if array.ndim == 0:
            raise SchemaError(f"{path}: {name} is a single number, not rows; add a first axis")
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise SchemaError(f"{path}: the arrays' first axes differ ({listed}); every column needs a value per row")
    total = next(iter(lengths.values()))
    if total == 0:
        raise SchemaError(f"{path}: the arrays have no rows; nothing to convert")
    if not any(array.size for array in columns.values()):  # a header alone can declare any number of such rows
        raise SchemaError(f"{path}: {total:,} rows without values; nothing to convert")
    texts = [name for name, array in columns.items() if array.dtype.kind == "U"]
    native = {name: array.dtype.newbyteorder("=") for name, array in columns.items()}

    def examples() -> Iterator[Row]:
        for row in range(total):
            wrong = next((name for name in texts if not _is_text(columns[name][row : row + 1])), None)
            if wrong is not None:
                yield Refused(CorruptError(f"{path}: row {row}: {wrong} has a character above U+10FFFF, which is not text; write the file again")), None
                continue
            yield {name: _value(array[row], native[name]) for name, array in columns.items()}, None

    return Source(kind, examples, total)


def _is_text(array: Array) -> bool:
    """NumPy does not check characters; a str with invalid ones could not be read back."""
    codes = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view(np.uint32)
    return int(codes.max(initial=0)) <= sys.maxunicode


def _value(item: object, dtype: np.dtype[np.generic]) -> object:
    """One row as Atlas accepts it: a copy in the machine's byte order; NumPy's text as str or
    bytes."""
    if dtype.kind == "U" and isinstance(item, np.str_):
        return str(item)
    if dtype.kind == "S" and isinstance(item, np.bytes_):
        return bytes(item)
    if isinstance(item, np.ndarray):
        return np.array(item, dtype=dtype, order="C")
    return item
