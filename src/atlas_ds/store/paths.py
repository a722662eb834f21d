"""Paths as users give them: absolute, ~ expanded, URLs refused. Does not look at what is there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from atlas_ds.errors import UnsupportedError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least; pathlib makes one slash of two


def local_path(path: str | os.PathLike[str], what: str = "path") -> Path:
    """An absolute path of this machine, which a later chdir does not move. UnsupportedError for a URL, ValueError for an empty path."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{what}={path!r}: give a str or a pathlib.Path") from None
    if not text:
        raise ValueError(f"{what}='': is empty; give the folder's name, or '.' for this one")
    if "\0" in text:
        raise ValueError(f"{what}={text!r}: a path cannot hold a NUL character")
    if URL.match(text):
        found = re.sub(r"^file:/+", "/", text)
        cure = f"give the path {found!r}" if found != text else "copy it to a folder of this machine, or mount it, and give that folder"
        raise UnsupportedError(f"{text}: is a URL, and this version reads and writes datasets in folders only: {cure}")
    return Path(os.path.abspath(os.path.expanduser(text)))
