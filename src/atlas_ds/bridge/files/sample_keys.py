"""Splits file names into the key of a sample and an extension. All names of a folder are
considered.

The extension is the part after the last dot. A word before it also belongs to it if it marks one of
several files of a sample: if the same key has a file without the word (a.png, a.seg.png), or if
several keys have the word and it is in lower case (a.seg.png, b.seg.png). Numbers and versions
belong to the key: IMG.1.png is the png of "IMG.1". Names in tars follow WebDataset's rule instead:
the first dot.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from atlas_ds.bridge.files.roles import PACKED


class SampleName(NamedTuple):
    """The two parts of a file's name. key: includes the folder; extension: in lower case, "" if
    there is none."""

    key: str
    extension: str


Parts = dict[PurePosixPath, SampleName]
_WORD = re.compile(r"(?!v[0-9]+$)[a-z][a-z0-9_-]*", re.IGNORECASE)


def split_names(files: Iterable[PurePosixPath]) -> Parts:
    """Key (with its folder) and extension in lower case of each file; the extension is "" where
    there is none."""
    names = [(file, file.name.split(".")) for file in files]
    plain = {str(file)[: -len(parts[-1]) - 1] for file, parts in names if len(parts) > 1}
    having: dict[str, set[str]] = defaultdict(set)  # word -> the keys it follows
    for file, parts in names:
        for key, word in _inner(file, parts):
            if len(having[word]) < 2 and word.islower():
                having[word].add(key)
    return {file: _split(file, parts, plain, having) for file, parts in names}


def _inner(file: PurePosixPath, parts: list[str]) -> Iterator[tuple[str, str]]:
    """From right to left: each word before the extension, with what is before it."""
    end = len(str(file)) - len(parts[-1]) - 1
    for at in range(len(parts) - 2, 0, -1):
        if not _WORD.fullmatch(parts[at]):
            return
        end -= len(parts[at]) + 1
        yield str(file)[:end], parts[at]


def _split(file: PurePosixPath, parts: list[str], plain: set[str], having: dict[str, set[str]]) -> SampleName:
    name = str(file)
    if len(parts) == 1 or not parts[-1]:
        return SampleName(name, "")
    key = name[: -len(parts[-1]) - 1]
    packed = parts[-1].lower() in PACKED
    for before, word in _inner(file, parts):
        if not (packed or len(having[word]) > 1 or before in plain):
            break
        key, packed = before, False
    return SampleName(key, name[len(key) + 1 :].lower())


def differs_from_first_dot(parts: Parts) -> PurePosixPath | None:
    """The first file whose key does not end at its name's first dot, as it would in a tar."""
    return next((file for file, (key, extension) in parts.items() if extension and "." in PurePosixPath(key).name), None)
