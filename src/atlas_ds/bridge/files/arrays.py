"""Reads NumPy's files: .npy, one example per row of the first axis, memory-mapped; .npz, one column per array.

Pickled (object) arrays are refused, always. Arrays inside a folder of samples are folder.py's.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Row, Source
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, UnsupportedError

Array = npt.NDArray[np.generic]


def read_npy(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Rows as {"value": row}, or one column per field if the array is structured."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError) as error:
        raise _bad_array(path, error) from error
    columns = {"value": array}
    if array.dtype.names:
        columns = {name: array[name] for name in array.dtype.names}
    return _columns("npy", path, columns)


def read_npz(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """Rows across all arrays of the archive, which are held in memory: zip members cannot be memory-mapped."""
    columns: dict[str, Array] = {}
    name = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                columns[name] = archive[name]
    except zipfile.BadZipFile as error:
        raise CorruptError(f"{path}: {name or 'directory'}: {error}; save it again with numpy.savez") from error
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError, zlib.error) as error:
        raise _bad_array(f"{path}: {name}" if name else path, error) from error
    if not columns:
        raise SchemaError(f"{path}: holds no array; nothing to convert")
    return _columns("npz", path, columns)


def _bad_array(place: Path | str, error: Exception) -> AtlasError:
    if "Object arrays" in str(error) or "Python objects" in str(error):  # NumPy's words; it has no error type for it
        return UnsupportedError(f"{place}: an object array, which is a pickle and may run code; save numbers or text")
    reason = "it is no NumPy file" if "pickled data" in str(error) else str(error).rstrip(".")
    return CorruptError(f"{place}: not a readable array: {reason}; save it again with NumPy")


def _columns(kind: str, path: Path, columns: dict[str, Array]) -> Source:
    for name, array in columns.items():
        if array.ndim == 0:
            raise SchemaError(f"{path}: {name} is a single number, not rows; give it a first axis")
        if array.dtype.hasobject:
            raise UnsupportedError(f"{path}: {name} is an object array, which is a pickle; save numbers or text")
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise SchemaError(f"{path}: the arrays' first axes differ ({listed}); every column needs a value per row")
    total = next(iter(lengths.values()))
    if total == 0:
        raise SchemaError(f"{path}: the arrays have no rows; nothing to convert")
    native = {name: array.dtype.newbyteorder("=") for name, array in columns.items()}

    def examples() -> Iterator[Row]:
        for row in range(total):
            yield {name: _value(array[row], native[name]) for name, array in columns.items()}, None

    return Source(kind, examples, total)


def _value(item: object, dtype: np.dtype[np.generic]) -> object:
    """One row as Atlas takes it: own bytes in the machine's order; NumPy's text as str or bytes."""
    if dtype.kind == "U" and isinstance(item, np.str_):
        return str(item)
    if dtype.kind == "S" and isinstance(item, np.bytes_):
        return bytes(item)
    if isinstance(item, np.ndarray):
        return np.array(item, dtype=dtype, order="C")
    return item
