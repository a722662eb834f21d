"""Folders with an index.json of MosaicML or LitData: their kind, their splits, and the checked
bytes of their files.

mds.py and litdata.py interpret the index and the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from atlas_ds.bridge.opening import Missing, check_inside, map_bytes, read_json, unreadable
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError

INDEX = "index.json"
MAX_NUMBER = 1 << 53  # of a count or a size in it
KINDS = {"shards": "mds", "chunks": "litdata"}  # the list in an index -> the kind
Index = dict[str, Any]


class IndexedFolder(NamedTuple):
    """A folder with its index. split: the folder's name, if it is one of several."""

    path: Path
    split: str | None
    content: Index


def indexed_kind(folder: Path) -> str | None:
    """"mds" or "litdata" if the folder has such an index, or if each folder in it has one of the
    same kind; else None."""
    if (folder / INDEX).is_file():
        return _kind(folder / INDEX)
    indexes = [inner / INDEX for inner in _folders(folder)]
    if not indexes or not all(index.is_file() for index in indexes):
        return None
    kinds = {_kind(index) for index in indexes}
    return kinds.pop() if len(kinds) == 1 else None


def indexed_folders(folder: Path, member: str, follow_links: bool) -> list[IndexedFolder]:
    """The folder and its index, or those of each folder in it with its name as the split;
    `member` is the list that an index must have."""
    if not folder.is_dir():  # the index itself was given
        folder = folder.parent
    found: list[tuple[Path, str | None]] = [(folder, None)]
    if not (folder / INDEX).is_file():
        found = [(inner, inner.name) for inner in _folders(folder) if (inner / INDEX).is_file()]
    if not found:
        raise SchemaError(f"{folder}: no {INDEX} here or in a folder of it; give the dataset's folder")
    out = []
    for inner, split in found:
        check_inside(folder, inner / INDEX, follow_links)
        index = read_json(inner / INDEX)
        place = f"{inner / INDEX}"
        if not isinstance(index, dict) or not isinstance(index.get(member), list):
            raise CorruptError(f"{place}: not an object with a list {member!r}; restore the file, or give another --from")
        if not all(isinstance(item, dict) for item in index[member]):
            raise CorruptError(f"{place}: {member}: every member must be an object; restore the file")
        out.append(IndexedFolder(inner, split, index))
    return out


def number(item: Index, name: str, place: str) -> int:
    """A count or a size in an index: an integer of 0 or more."""
    value = item.get(name)
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise CorruptError(f"{place}: {name} is {str(value)[:60]}, not an integer from 0 to 2^53; restore the file")
    return value


def names(item: Index, name: str, place: str) -> list[str]:
    """A list of strings in an index."""
    value = item.get(name)
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise CorruptError(f"{place}: {name} is {str(value)[:60]!r}, not a list of strings; restore the file")
    return value


def file_bytes(path: Path, size: int | None = None) -> memoryview:
    """A file's bytes, memory-mapped; checked to have the size in the index, if there is one."""
    try:
        data = map_bytes(path)
    except Missing:
        raise AtlasError(f"{path}: the index names it, but it does not exist; fetch it again") from None
    if size is not None:
        check_size(path, data, size)
    return data


def check_size(path: Path, data: memoryview, size: int) -> None:
    """Raises an error if a file's size is not that in the index."""
    if len(data) < size:
        raise TruncatedError(f"{path}: byte {len(data):,}: the file ends, but the index says {size:,} bytes; fetch it again")
    if len(data) > size:
        raise CorruptError(f"{path}: {len(data):,} bytes, but the index says {size:,}; fetch it again")


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(inner for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from error


def _kind(path: Path) -> str | None:
    index = read_json(path)
    lists = [name for name in KINDS if isinstance(index, dict) and isinstance(index.get(name), list)]
    return KINDS[lists[0]] if len(lists) == 1 else None
