"""Expands a pattern to the names of many files: braces and `::` lists, as in WebDataset. It
opens nothing."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from atlas_ds.dataset.foreign import names_in, strange_folder
from atlas_ds.dataset.names import MANIFEST
from atlas_ds.errors import AtlasError, LimitError, UnsupportedError
from atlas_ds.store.file_url import FileUrl, file_urls
from atlas_ds.store.paths import TAR, clean
from atlas_ds.store.storage_options import FAMILIES, family_of, with_http
from atlas_ds.text import printable, quoted

MAX_URLS = 100_000
MAX_CHARACTERS = 1 << 26  # of all names
MAX_DEPTH = 20
MAX_GROUPS = 20  # in sequence or nested; each is a step of recursion
RANGE = re.compile(r"(-?[0-9]{1,18})\.\.(-?[0-9]{1,18})(?:\.\.([0-9]{1,18}))?")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")

Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def given_tars(sources: Sources, allow_http: bool, storage_options: Mapping[str, Any] | None) -> list[str]:
    """`expand`, for what a user gave. ValueError for storage_options where nothing is a URL."""
    names = expand(sources, with_http(storage_options, allow_http))
    if storage_options is not None and not any(isinstance(name, FileUrl) for name in names):
        raise ValueError("storage_options= is for URLs, and none of the tars is at one")
    return names


def expand(sources: Sources, storage_options: Mapping[str, Any] | None = None) -> list[str]:
    """All names in order; those of URLs are FileUrls, which are shown without their query. A folder means the .tar files in it; "-" means standard input.

    "train-{000000..000099}.tar" are 100 names, {a,b} two, "one.tar::two.tar" two. Errors:
    LimitError above 100,000 names, UnsupportedError for "pipe:" (which would run a program) and
    unknown schemes; AtlasError for http without TLS unless it is allowed.
    """
    given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    out = _few((_local(name) for source in given for name in _names(source)), clean(str(given[:1])))
    if not out:
        raise AtlasError("no tars were given; give a path, a URL, or a list of them")
    remote = list(map(is_remote, out))
    urls = file_urls((name for name, one in zip(out, remote, strict=True) if one), storage_options)
    return [next(urls) if one else name for name, one in zip(out, remote, strict=True)]


def _few(names: Iterable[str], pattern: str) -> list[str]:
    out: list[str] = []
    characters = 0
    for name in names:
        out.append(name)
        characters += len(name)
        if len(out) > MAX_URLS or characters > MAX_CHARACTERS:
            raise LimitError(f"{pattern[:200]}: more than {MAX_URLS:,} names, or {MAX_CHARACTERS:,} characters; convert in several runs")
    return out


def _names(source: str | os.PathLike[str]) -> Iterator[str]:
    text = os.fspath(source)
    shown = clean(text) if isinstance(text, str) else text
    if not isinstance(text, str) or not text or "\0" in text:
        raise AtlasError(f"{shown!r}: not a path or URL; give text without zero bytes")
    if isinstance(source, os.PathLike) or (os.path.exists(text) and not os.path.isdir(text)):
        yield from _folder(os.path.expanduser(text))
        return
    for part in text.split("::"):
        for name in _braces(part, shown):
            yield from _folder(os.path.expanduser(name))


def _folder(name: str) -> Iterator[str]:
    if not os.path.isdir(name):
        yield name
        return
    tars = sorted(str(path) for path in Path(name).iterdir() if TAR.search(path.name) and path.is_file())
    if not tars:
        raise AtlasError(f"{name}: a folder without .tar files; {without_tars(Path(name))}")
    yield from tars


def without_tars(folder: Path) -> str:
    """What to do about a folder that has no tars itself."""
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and any(TAR.search(one) for one in names_in(path)[0]))
    if inner:
        shown = ", ".join(quoted(str(path)) for path in inner[:5]) + (", ..." if len(inner) > 5 else "")
        splits = f"`atlas-ds convert {shlex.quote(printable(str(folder)))} NEW` makes splits of folders called train, val, test"
        return f"the tars are in its folders: give these, [{shown}]; {splits}"
    if (folder / MANIFEST).is_file():
        return f"it is already an Atlas dataset: atlas.AtlasDataset({quoted(str(folder))}) opens it"
    return strange_folder(folder) or "give the files"


def _braces(text: str, pattern: str, groups: int = 0) -> Iterator[str]:
    """Expands the first group, its items and the rest. Lazy, so that the limits apply. groups:
    how many were expanded before."""
    start = text.find("{")
    if start < 0:
        yield text
        return
    if groups == MAX_GROUPS:
        raise LimitError(f"{pattern[:200]}: more than {MAX_GROUPS} groups in braces; name the files in a list")
    items, rest = _group(text, start, pattern)
    span = RANGE.fullmatch(items[0])
    if span is None and len(items) == 1:
        raise AtlasError(f"{pattern[:200]}: {{{items[0][:80]}}} is neither a range {{0..9}} nor a list {{a,b}}")
    tails = _few(_braces(rest, pattern, groups + 1), pattern)
    for item in _range(span, pattern) if span and len(items) == 1 else chain.from_iterable(_braces(item, pattern, groups + 1) for item in items):
        for tail in tails:
            yield text[:start] + item + tail


def _group(text: str, start: int, pattern: str) -> tuple[list[str], str]:
    """The items of a group, which are separated by commas, and the text after its closing brace."""
    items, depth, begin = [], 0, start + 1
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth > MAX_DEPTH:
            raise LimitError(f"{pattern[:200]}: braces nested over {MAX_DEPTH} deep")
        if (text[at] == "," and depth == 1) or depth == 0:
            items.append(text[begin:at])
            begin = at + 1
        if depth == 0:
            return items, text[begin:]
    raise AtlasError(f"{pattern[:200]}: a brace is not closed")


def _range(span: re.Match[str], pattern: str) -> Iterator[str]:
    """The numbers of a range, padded to the width of its ends if one of them has leading zeros."""
    start, stop, step = int(span[1]), int(span[2]), int(span[3] or 1)
    if step == 0:
        raise AtlasError(f"{pattern[:200]}: a range with step 0; give 1 or more")
    padded = any(re.match(r"-?0\d", end) for end in (span[1], span[2]))
    width = max(len(span[1]), len(span[2])) if padded else 0
    numbers = range(start, stop + 1, step) if start <= stop else range(start, stop - 1, -step)
    for number in numbers:
        yield f"{number:0{width}d}"


def _local(name: str) -> str:
    """The path of a file: URL; names with other known schemes unchanged."""
    scheme = SCHEME.match(name)
    if scheme is None or os.path.exists(name):
        return name
    word, shown = scheme[1].lower(), clean(name)[:200]
    if word == "pipe":
        raise UnsupportedError(f"{shown}: pipe: would run a program, which Atlas never does; run it yourself and give '-' (standard input)")
    if word == "file":
        path = name[scheme.end() :] if scheme[2] is None else name[scheme.end() :].removeprefix("localhost")
        if scheme[2] is not None and path[:1] != "/":
            raise UnsupportedError(f"{shown}: a file on another machine; write file:/// and the complete path")
        return path
    if family_of(word) is not None or scheme[2] is None:
        return name
    raise UnsupportedError(f"{shown}: {word}:// is not supported; supported are file, {', '.join(sorted(FAMILIES))}")


def is_remote(name: str) -> bool:
    """Whether a user's name is a URL that a store can read."""
    scheme = SCHEME.match(name)
    return scheme is not None and scheme[2] is not None and family_of(scheme[1]) is not None and not os.path.exists(name)
