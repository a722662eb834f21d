"""The names by which a file belongs to a split: train, validation, test. It looks at names only."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

SPLIT_NAMES = frozenset(("train", "training", "val", "valid", "validation", "dev", "test", "testing"))
_BETWEEN = re.compile(r"[-_. ]+")


def split_of(file: PurePosixPath) -> str | None:
    """The split of a path: by a folder called train, or by a file name like
    train-00000-of-00003.parquet, test_0.csv or cifar_train.csv.

    Folders take precedence over the file name, outer folders over inner ones. None if there is no
    such name, or if the file name has two.
    """
    for part in file.parts[:-1]:
        if part.lower() in SPLIT_NAMES:
            return part.lower()
    words = [word.lower() for word in _BETWEEN.split(file.name.partition(".")[0]) if not (word.isdigit() or word == "of")]
    found = {word for word in (words[0], words[-1]) if word in SPLIT_NAMES} if words else set()
    return found.pop() if len(found) == 1 else None
