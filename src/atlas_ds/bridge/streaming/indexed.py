"""Folders that an index.json describes, MosaicML's and LitData's: which kind, which splits, and the bytes of their files, checked.

What the index and the files mean is the business of mds.py and litdata.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atlas_ds.bridge.opening import Missing, check_inside, map_bytes, read_json, unreadable
from atlas_ds.errors import AtlasError, CorruptError, SchemaError, TruncatedError

INDEX = "index.json"
MOST_NUMBER = 1 << 53  # of a count or a size in it
KINDS = {"shards": "mds", "chunks": "litdata"}  # the list an index must hold, and whose it is
Index = dict[str, Any]


def indexed_kind(folder: Path) -> str | None:
    """"mds" or "litdata" if the folder has such an index, or if each of its folders has one of the same kind; else None."""
    if (folder / INDEX).is_file():
        return _kind(folder / INDEX)
    indexes = [inner / INDEX for inner in _folders(folder)]
    if not indexes or not all(index.is_file() for index in indexes):
        return None
    kinds = {_kind(index) for index in indexes}
    return kinds.pop() if len(kinds) == 1 else None


def indexed_folders(folder: Path, member: str, follow_links: bool) -> list[tuple[Path, str | None, Index]]:
    """The folder and its index, or those of each folder in it with its name as the split; `member` is the list an index must hold."""
    if not folder.is_dir():  # somebody named the index itself
        folder = folder.parent
    found: list[tuple[Path, str | None]] = [(folder, None)]
    if not (folder / INDEX).is_file():
        found = [(inner, inner.name) for inner in _folders(folder) if (inner / INDEX).is_file()]
    if not found:
        raise SchemaError(f"{folder}: no {INDEX} here or in a folder of it; give the folder that was written")
    out = []
    for inner, split in found:
        check_inside(folder, inner / INDEX, follow_links)
        index = read_json(inner / INDEX)
        place = f"{inner / INDEX}"
        if not isinstance(index, dict) or not isinstance(index.get(member), list):
            raise CorruptError(f"{place}: not an object with a list {member!r}; restore the file, or give another --from")
        if not all(isinstance(item, dict) for item in index[member]):
            raise CorruptError(f"{place}: {member}: every member must be an object; restore the file")
        out.append((inner, split, index))
    return out


def number(item: Index, name: str, place: str) -> int:
    """A count or a size of an index: a whole number from 0 on."""
    value = item.get(name)
    if type(value) is not int or not 0 <= value < MOST_NUMBER:
        raise CorruptError(f"{place}: {name} is {str(value)[:60]}, not a whole number from 0 to 2^53; restore the file")
    return value


def names(item: Index, name: str, place: str) -> list[str]:
    """A list of text of an index."""
    value = item.get(name)
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise CorruptError(f"{place}: {name} is {str(value)[:60]!r}, not a list of text; restore the file")
    return value


def file_bytes(path: Path, size: int | None = None) -> memoryview:
    """A file's bytes, mapped, not read; of the size that the index says, where it says it."""
    try:
        data = map_bytes(path)
    except Missing:
        raise AtlasError(f"{path}: the index names it, but it is not there; fetch it again") from None
    if size is not None:
        check_size(path, data, size)
    return data


def check_size(path: Path, data: memoryview, size: int) -> None:
    """Refuses a file whose size is not the index's."""
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
