"""Describes a path that is not an Atlas dataset, and names the call that reads it. For error messages. The kinds of files are in foreign_kinds.py.

It reads only the first bytes of a regular file, and a bounded number of names of a folder, so that a pipe or a huge folder is described quickly.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from atlas_ds.dataset.foreign_kinds import CONVERT, KINDS, NAMED, OPEN, by_hand, by_name, kind_of
from atlas_ds.dataset.manifest import read_manifest
from atlas_ds.dataset.names import MANIFEST, PARTS, SUFFIX, is_tar_index, resembles_journal
from atlas_ds.errors import AtlasError
from atlas_ds.store.local import LocalStore
from atlas_ds.store.lock import is_lock
from atlas_ds.store.regular import KINDS as REGULAR_OR
from atlas_ds.store.regular import open_regular
from atlas_ds.store.temporary import is_temporary
from atlas_ds.text import closest, named, printable, quoted

HEAD = 1024
MAX_NAMES = 1000  # of a folder that are read
MAX_FOLDERS = 20  # of the folders in it


def stranger(path: Path) -> str | None:
    """Describes what a file is and which call reads it; None for an Atlas shard, intact or damaged."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        return f"is {REGULAR_OR.get(stat.S_IFMT(mode), 'not a regular file')}, which is never opened; give the folder of a dataset"
    head = head_of(path)
    kind = kind_of(path.name, head)
    if kind == "atlas" or (not head and path.suffix == SUFFIX):
        return None
    if resembles_journal(path.name):
        return journal(path.parent)
    if b'"atlas":2' in head and head.startswith(b"{"):
        return f"is a manifest, but is not called {MANIFEST}; rename it back, next to its shards, and open the folder: {call_of(OPEN, path.parent)}"
    if path.name in NAMED:
        return f"is {KINDS['json'].one} that describes a folder of {NAMED[path.name]}: {call_of(CONVERT, path.parent)}"
    if kind is not None:
        return f"is {KINDS[kind].one}, not an Atlas dataset: {call_of(KINDS[kind].call, path)}"
    return unknown(head)


def journal(folder: Path) -> str:
    if (folder / MANIFEST).is_file():
        return f"is the journal of a writer; the dataset is its folder: {call_of(OPEN, folder)}"
    return "is the journal of a writer, which is active in this folder, or was stopped: resume=True continues with its finished shards"


def unknown(head: bytes) -> str:
    if not head:
        return "is an empty file, not an Atlas dataset; give the folder of a dataset"
    try:
        text = head[:60].decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if len(head[:60]) - error.start < 4 else ""
    if text.strip() and "\0" not in text:
        return f"is a text file that begins with {named(text.strip().splitlines()[0], 40)}, not an Atlas dataset; give the folder of a dataset"
    return f"is not an Atlas dataset, nor any other known format: it begins with the bytes {head[:8].hex(' ')}; give the folder of a dataset"


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
    with open(open_regular(path), "rb", buffering=0) as file:
        return file.read(HEAD)


# --- folders ---


def names_in(folder: Path) -> tuple[list[str], list[str]]:
    """(files, folders) of a folder by name, sorted; at most MAX_NAMES of them. Nothing where it cannot be read."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MAX_NAMES):
                (folders if entry.is_dir() else files).append(entry.name)
    except OSError:  # it is only a hint; the caller raises an error anyway
        return [], []
    files = [name for name in files if not is_lock(name) and not is_tar_index(name)]
    return sorted(files), sorted(folders)


def strange_folder(folder: Path) -> str:
    """Describes what a folder without a manifest is, and which call reads it; empty if unknown."""
    files, folders = names_in(folder)
    if not files and not folders:
        return "the folder is empty; is it the right one? atlas.AtlasDatasetWriter writes a dataset there"
    for test in (marked, datasets_inside, inside_a_dataset):
        why = test(folder, files, folders)
        if why is not None:
            return why
    kinds = Counter(kind for kind in map(by_name, files) if kind is not None)
    open_at = folder
    for inner in folders[:MAX_FOLDERS]:
        below, deeper = names_in(folder / inner)
        below += [name for one in deeper[:3] for name in names_in(folder / inner / one)[0]]
        found = Counter(kind for kind in map(by_name, below) if kind is not None)
        if not kinds and "tar" in found:
            open_at = folder / inner  # open_tar takes a folder of tars, not a folder of such folders
        kinds.update(found)
    if not kinds:
        return ""
    kind = KINDS[kinds.most_common(1)[0][0]]
    return f"it holds {kind.many}: {call_of(kind.call_many or kind.call, folder, open_at)}"


def marked(folder: Path, files: list[str], folders: list[str]) -> str | None:
    """Describes folders that are recognized by one file."""
    have, inner = set(files), folders[:MAX_FOLDERS]
    if "meta.json" in have:
        trusting = "`atlas-ds convert --trust-pickle {word} NEW` makes a new dataset of it"
        return f"it looks like a dataset of torch-atlas-ds (version 1): {call_of(trusting, folder)}"
    if any(resembles_journal(name) or is_temporary(name) for name in files):
        return "a writer or a download is active here, or was stopped: resume=True, or the same download again, continues it"
    if PARTS in folders:
        return f"it holds parts of a dataset that are not merged: {call_of('atlas.merge_parts({code})', folder)}"
    if any(name.endswith(SUFFIX) for name in files):
        return f"it holds shards: {call_of('`atlas-ds repair {word}`', folder)} makes a new manifest"
    if "dataset_dict.json" in have or {"state.json", "dataset_info.json"} <= have:
        return f"it is a Hugging Face dataset, written by save_to_disk: {call_of(CONVERT, folder)}"
    index = next((path for path in (folder / "index.json", *(folder / one / "index.json" for one in inner)) if path.is_file()), None)
    if index is not None:
        head = head_of(index)
        what = "LitData" if b'"chunks"' in head else "MosaicML Streaming (MDS)" if b'"shards"' in head else None
        if what is not None:
            return f"it is a dataset of {what}: {call_of(CONVERT, folder)}"
    if "data.mdb" in have:
        return f"it is {KINDS['lmdb'].one}: {KINDS['lmdb'].call}"
    if have & {".zarray", ".zgroup", "zarr.json"}:
        return f"it is a Zarr array or group: {by_hand('zarr')}"
    return None


def datasets_inside(folder: Path, files: list[str], folders: list[str]) -> str | None:
    """Describes a folder whose folders are datasets."""
    found = [name for name in folders if (folder / name / MANIFEST).is_file()]
    if not found:
        return None
    shown = ", ".join(printable(name, 40) for name in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    one = f"AtlasDataset({quoted(str(folder / found[0]))})"
    together = f"; as one: atlas.concat([{one}, ...])" if len(found) > 1 else ""
    return f"the datasets are in its folders {shown}: open one of them, atlas.{one}{together}"


def inside_a_dataset(folder: Path, files: list[str], folders: list[str]) -> str | None:
    if (folder.parent / MANIFEST).is_file():
        return f"the folder around it is a dataset: {call_of(OPEN, folder.parent)}"
    return None


# --- paths that do not exist ---


def missing(path: Path) -> str:
    """Describes what is wrong with a path that does not exist, and names similar ones."""
    if path.is_symlink():
        return f"is a link to {named(os.readlink(path))}, which does not exist"
    parent = path.parent
    if (parent / MANIFEST).is_file():
        splits = splits_of(parent)
        if path.name in splits:
            return f"no such folder or file; {quoted(path.name)} is a split: atlas.AtlasDataset({quoted(str(parent))}, split={quoted(path.name)})"
        its_splits = f"; its splits are {', '.join(splits)}" if splits else ""
        return f"no such folder or file; the folder around it is a dataset: {call_of(OPEN, parent)}{its_splits}"
    while not parent.exists():
        path, parent = parent, parent.parent
    if not parent.is_dir():
        return f"no such folder or file: {named(str(parent))} is a file, not a folder"
    files, folders = names_in(parent)
    like = closest(path.name, [*files, *folders])
    if not like:
        return f"no such folder or file; {named(str(parent))} has nothing called {named(path.name)}"
    return f"no such folder or file; similar names: {', '.join(named(str(parent / name)) for name in like)}"


def splits_of(folder: Path) -> list[str]:
    """Returns the splits of a manifest, as far as it can be read."""
    try:
        return [printable(name, 40) for name in list(read_manifest(LocalStore(folder)).splits)[:20]]
    except (AtlasError, OSError):  # it is only a hint
        return []


def call_of(call: str, path: Path, in_code: Path | None = None) -> str:
    """Returns a call with the path in it. in_code: the path for calls in Python, if it differs from that of a command."""
    return call.format(code=quoted(str(path if in_code is None else in_code)), word=shlex.quote(printable(str(path), 4096)))


# --- things that are not paths ---


def not_a_path(value: Any) -> str | None:
    """Describes what to do with a value that is not a path; None if it may be one."""
    if isinstance(value, str | bytes | os.PathLike):
        return None
    kind = type(value)
    name = f"value of type {kind.__module__}.{kind.__name__}".replace("type builtins.", "type ")
    if value is None:
        return "path=None: give the folder of a dataset, as text or a pathlib.Path"
    if kind.__module__.startswith("atlas_ds."):
        where = f"; its path is {quoted(str(value.path))}" if hasattr(value, "path") else ""
        what = "a dataset that is open already, not a path: use it as it is" if hasattr(value, "__len__") else "not a path"
        return f"{kind.__name__} is {what}{where}"
    if isinstance(value, list | tuple | set):
        return f"a {kind.__name__} of {len(value):,} is not a path: open each, then atlas.concat([atlas.AtlasDataset(path) for path in paths])"
    if hasattr(value, "read"):
        return f"an open file is not a path: give the folder of a dataset ({named(str(getattr(value, 'name', '?')))} is what was opened)"
    if kind.__module__.startswith("datasets."):
        return f"a {name} is not a path: atlas.import_huggingface(data, path) writes it as a dataset, then open that path"
    if hasattr(value, "__getitem__") or hasattr(value, "__iter__"):
        return f"a {name} is not a path: write it first, with atlas.AtlasDatasetWriter(path) as writer: writer.extend(examples), then open that path"
    return f"a {name} is not a path: give the folder of a dataset, as text or a pathlib.Path"
