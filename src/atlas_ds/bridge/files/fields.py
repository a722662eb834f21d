"""Reads one file of a sample by its extension, and infers the column's type. samples.py groups
files; values/by_extension.py has the extensions."""

from __future__ import annotations

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.bridge.opening import map_bytes, read_all
from atlas_ds.bridge.values.by_extension import decode_value, kind_name, value_spec
from atlas_ds.bridge.values.media import checked_media
from atlas_ds.bridge.values.npy import view_npy
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, UnsupportedError
from atlas_ds.schema.specs import array, tensor
from atlas_ds.schema.types import MAX_VALUE

_TEXTS = ("text", "json", "number")
_WHOLE_FILES = (None, "npz", "tenbin")  # stay bytes: a column cannot hold several arrays, and pickles are not read


def field_spec(paths: list[Path], extension: str) -> object:
    """The Atlas type of the column of these files. For arrays, dtype and shape of every file are
    read."""
    kind = kind_name(extension)
    if kind == "npy":
        return _array_spec(paths)
    return "bytes" if kind in _WHOLE_FILES else value_spec(extension)


def read_field(path: Path, extension: str, encoding: str | None = None) -> object:
    """The value of one file, by the last part of its extension ("seg.png" is a png). encoding:
    of text; None: UTF-8, or UTF-16 with a mark."""
    kind = kind_name(extension)
    if kind == "media":
        return checked_media(path)
    data = read_all(path, 2 * MAX_VALUE)  # text in UTF-16 may become half as long
    if kind in _TEXTS:
        data = _as_utf8(data, encoding, path)
    return data if kind in _WHOLE_FILES else decode_value(extension, data, str(path))


def _as_utf8(data: bytes, encoding: str | None, path: Path) -> bytes:
    """Text of another encoding as UTF-8, without a byte order mark. CorruptError if it cannot be
    decoded."""
    if encoding is None and data.startswith(BOM_UTF8):
        return data[len(BOM_UTF8) :]
    if encoding is None and data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        encoding = "utf-16"
    if encoding is None:
        return data
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode()
    except UnicodeError as error:
        raise CorruptError(f"{path}: not {encoding}: {error}; set its encoding: --encoding NAME, or save it as UTF-8") from error


def _array_spec(paths: list[Path]) -> object:
    shapes: set[tuple[int, ...]] = set()
    dtype: np.dtype[Any] | None = None
    damage: AtlasError | None = None
    for path in paths:
        try:
            found = _look_at_array(path)
        except AtlasError as error:  # the file's own example is refused when it is read
            damage = damage or error
            continue
        dtype = dtype or found.dtype
        if found.dtype != dtype:
            raise SchemaError(f"{path}: dtype {found.dtype}, but {paths[0].name} has {dtype}; save all with one dtype, or, if their rows are the"
                              " examples, in one file: numpy.savez('all.npz', x=x, y=y)")
        shapes.add(found.shape)
    if dtype is None:
        raise damage or AtlasError("no array can be read")
    if len(shapes) == 1:
        return array(dtype, shapes.pop())
    ndims = {len(shape) for shape in shapes}
    return tensor(dtype, ndims.pop() if len(ndims) == 1 else None)


def _look_at_array(path: Path) -> np.ndarray[Any, Any]:
    """The mapped array, for dtype and shape; the values stay in the file."""
    try:
        return view_npy(map_bytes(path), str(path))
    except (UnsupportedError, LimitError) as error:  # in a folder it is one file that must be written again
        raise CorruptError(str(error)) from error
