"""Reads one file of a sample by its extension, and says what type such a column has. Folders are folder.py's, the extensions values/by_extension.py's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.bridge.opening import unreadable
from atlas_ds.bridge.values.by_extension import decode_value, kind_name, value_spec
from atlas_ds.bridge.values.media import checked_media
from atlas_ds.errors import CorruptError, SchemaError
from atlas_ds.schema.types import array, tensor

_WHOLE_FILES = (None, "npz", "tenbin")  # stay bytes: no column holds several arrays, and pickles are not read


def field_spec(paths: list[Path], extension: str) -> object:
    """The Atlas type of the column these files make. Arrays are asked for dtype and shape, file by file."""
    kind = kind_name(extension)
    if kind == "npy":
        return _array_spec(paths)
    return "bytes" if kind in _WHOLE_FILES else value_spec(extension)


def read_field(path: Path, extension: str) -> object:
    """The value of one file, by the last part of its extension ("seg.png" is a png)."""
    kind = kind_name(extension)
    if kind == "media":
        return checked_media(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return data if kind in _WHOLE_FILES else decode_value(extension, data, str(path))


def _array_spec(paths: list[Path]) -> object:
    shapes: set[tuple[int, ...]] = set()
    dtype: np.dtype[Any] | None = None
    for path in paths:
        found = _look_at_array(path)
        dtype = dtype or found.dtype
        if found.dtype != dtype:
            raise SchemaError(f"{path}: dtype {found.dtype}, but {paths[0].name} has {dtype}; save all with one dtype")
        shapes.add(found.shape)
    assert dtype is not None
    if len(shapes) == 1:
        return array(dtype, shapes.pop())
    ndims = {len(shape) for shape in shapes}
    return tensor(dtype, ndims.pop() if len(ndims) == 1 else None)


def _look_at_array(path: Path) -> np.ndarray[Any, Any]:
    """Its dtype and shape; the values stay in the file."""
    try:
        found = np.load(path, mmap_mode="r" if path.stat().st_size else None, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError) as error:
        raise CorruptError(f"{path}: not a readable .npy array: {error}; save it again with numpy.save") from error
    if not isinstance(found, np.ndarray):
        raise CorruptError(f"{path}: a zip archive, not one array; save it with numpy.save")
    return found
