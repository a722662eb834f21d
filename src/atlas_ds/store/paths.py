"""Paths as users write them: made absolute, with ~ expanded; URLs are refused. It does not look at the files."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeGuard

from atlas_ds.errors import UnsupportedError

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # two letters at least; pathlib makes one slash of two
TAR = re.compile(r"\.(tar(\.(gz|bz2|xz|zst|zstd|lz4))?|tgz|tzst)$")


def local_path(path: str | os.PathLike[str], what: str = "path") -> Path:
    """Returns an absolute path of this machine, which a later chdir does not change. UnsupportedError for a URL, ValueError for an empty path."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        raise TypeError(f"{what}={repr(path)[:80]}: give a str or a pathlib.Path") from None
    if not text:
        raise ValueError(f"{what}='': is empty; give the folder's name, or '.' for this one")
    if "\0" in text:
        raise ValueError(f"{what}={text!r}: a path cannot hold a NUL character")
    if URL.match(text):
        raise UnsupportedError(f"{clean(text)}: is a URL, and what is needed here is a folder of this machine: {cure_of_url(clean(text))}")
    return Path(os.path.abspath(os.path.expanduser(text)))


def is_url(path: object) -> TypeGuard[str]:
    """Whether a user's path is a URL that a dataset can be at; those of files of this machine and of tars are not."""
    if not isinstance(path, str) or URL.match(path) is None:
        return False
    return path.partition(":")[0].lower() not in ("file", "local") and TAR.search(path.partition("?")[0].lower()) is None


def clean(url: str) -> str:
    """A URL as it may be shown: without credentials and query. A container of Azure, which stands where a user would, stays."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("?")[0].partition("#")[0].partition("/")
    user, at, name = host.rpartition("@")
    container = user + at if scheme.lower() in ("abfs", "abfss") and ":" not in user else ""
    return f"{scheme}{mark}{container}{name}{slash}{path}"


def cure_of_url(url: str) -> str:
    """What to do with a URL where a folder is wanted."""
    scheme, _, rest = url.partition(":")
    rest = rest.lstrip("/")
    if scheme.lower() == "file":
        return f"give the path {'/' + rest.removeprefix('localhost/')!r}"
    if scheme.lower() == "hf":
        return "fetch it with the datasets library, and write it with atlas.import_huggingface(data, path)"
    if TAR.search(rest.partition("?")[0].lower()):
        return f"atlas.open_tar({scheme + '://' + rest!r}) reads a tar in place"
    return "atlas.download (atlas-ds download) copies an Atlas dataset; copy anything else to a folder of this machine, or mount it, and give that folder"
