"""Reads one file of a sample by its extension, and says what type such a column has. Folders are folder.py's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds.bridge.media import checked_media, kind_of
from atlas_ds.bridge.source import not_utf8, unreadable
from atlas_ds.errors import CorruptError, SchemaError, UnsupportedError
from atlas_ds.schema.types import array, media, tensor


def field_spec(paths: list[Path], extension: str) -> object:
    """The Atlas type of the column these files make. Arrays are asked for dtype and shape, file by file."""
    last = extension.rpartition(".")[2]
    if kind_of(last):
        return media()
    return _array_spec(paths) if last == "npy" else _SPECS.get(last, "bytes")


def _array_spec(paths: list[Path]) -> object:
    shapes: set[tuple[int, ...]] = set()
    dtype: np.dtype[Any] | None = None
    for path in paths:
        found = _read_array(path, mapped=True)
        dtype = dtype or found.dtype
        if found.dtype != dtype:
            raise SchemaError(f"{path}: dtype {found.dtype}, but {paths[0].name} has {dtype}; save all with one dtype")
        shapes.add(found.shape)
    assert dtype is not None
    if len(shapes) == 1:
        return array(dtype, shapes.pop())
    ndims = {len(shape) for shape in shapes}
    return tensor(dtype, ndims.pop() if len(ndims) == 1 else None)


def read_field(path: Path, extension: str) -> object:
    """The value of one file, by the last part of its extension ("seg.png" is a png)."""
    last = extension.rpartition(".")[2]
    if kind_of(last):
        return checked_media(path)
    return _READERS.get(last, _read_bytes)(path)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def _read_text(path: Path) -> str:
    try:
        return _read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path, error, f"byte {error.start}") from error


def _read_json(path: Path) -> object:
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise CorruptError(f"{path}: {where}: not JSON: {error.msg}; correct or remove the file") from error
    except RecursionError as error:
        raise UnsupportedError(f"{path}: JSON nested too deeply; flatten it") from error


def _read_int(path: Path) -> int:
    text = _read_text(path).strip()
    try:
        return int(text)
    except ValueError as error:
        raise CorruptError(f"{path}: a class file holds one whole number, this one {text[:40]!r}; correct it") from error


def _read_array(path: Path, *, mapped: bool = False) -> np.ndarray[Any, Any]:
    try:
        found = np.load(path, mmap_mode="r" if mapped and path.stat().st_size else None, allow_pickle=False)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, EOFError) as error:
        raise CorruptError(f"{path}: not a readable .npy array: {error}; save it again with numpy.save") from error
    if not isinstance(found, np.ndarray):
        raise CorruptError(f"{path}: a zip archive, not one array; save it with numpy.save")
    return found


_READERS: dict[str, Callable[[Path], object]] = {
    "txt": _read_text,
    "text": _read_text,
    "json": _read_json,
    "cls": _read_int,
    "cls2": _read_int,
    "npy": _read_array,
}
_SPECS = {"txt": "str", "text": "str", "json": "object", "cls": "int64", "cls2": "int64"}
