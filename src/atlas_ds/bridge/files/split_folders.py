"""Folders that are splits: train, Test, val2017, train-clean-100. Splits in file names are in
splits.py. It opens nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from atlas_ds.bridge.files.splits import SPLIT_NAMES

_WORD = re.compile(r"([a-z]+)([0-9]*)([-_. ].*)?", re.IGNORECASE)


def is_split(name: str) -> bool:
    """Whether a folder's name is that of a split."""
    found = _WORD.fullmatch(name)
    return found is not None and found[1].lower() in SPLIT_NAMES


def split_name(folder: str) -> str:
    """The split of a folder: its name, in lower case if it is one of SPLIT_NAMES."""
    return folder.lower() if folder.lower() in SPLIT_NAMES else folder


def split_place(files: Sequence[PurePosixPath]) -> int | None:
    """Which part of all names is the split's folder: 0 (train/1.jpg), or deeper if one folder
    holds all files (data/train/1.jpg)."""
    place = 0
    while files and all(len(file.parts) > place + 1 for file in files):
        names = {file.parts[place] for file in files}
        if all(map(is_split, names)):
            return place
        if len(names) > 1:
            break
        place += 1
    return None


def split_level(files: Sequence[PurePosixPath], skip: int = 0) -> int | None:
    """Which part of the names is the split: 0 (train/cat/1.jpg) or 1 (cat/train/1.jpg); None if
    there is none. skip: leading parts to ignore."""
    if not files:
        return None
    for level in (0, 1):
        at = skip + level
        names = {parts[at] if len(parts) > at + 1 else "" for parts in (file.parts for file in files)}
        if all(map(is_split, names)) and (level == 0 or len(names) > 1):
            return level
    return None


def half_splits(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The names of splits and the other names, if the user must say what they are: two or more
    of the first and one or more of the second."""
    ordered = sorted(names)
    splits = [name for name in ordered if is_split(name)]
    others = [name for name in ordered if not is_split(name)]
    return (splits, others) if len(splits) > 1 and others else ([], [])
