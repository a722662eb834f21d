"""Lists the files of a folder safely: regular files only, and links only within the folder. It
opens nothing and is independent of formats.

A link inside the folder is read under its own name; names of the same file are in `same`. A link
out of the folder is an error unless the caller follows links. Pipes, devices, sockets and broken
links are never opened: they are in `trouble`, each with its error, and so are empty media files.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from atlas_ds.bridge.files.roles import is_litter, is_media, looks_like_data
from atlas_ds.bridge.opening import not_regular, unreadable
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError

NAMED = 10  # files that an error lists
MAX_VISITS = 100  # of one folder through links; folders that link to each other would multiply


@dataclass(frozen=True, slots=True)
class Folder:
    """The content of a folder. Names are relative to `root`, sorted by their parts.

    files: what may be read, including those in `trouble`. trouble: why one of them cannot be read.
    empty: folders without a visible file or folder. left_out: what is never read, each with its
    reason. notes: sentences for the user. same: names of the same file, its own name first.
    """

    root: Path
    files: tuple[PurePosixPath, ...]
    trouble: dict[PurePosixPath, AtlasError]
    empty: tuple[PurePosixPath, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    same: tuple[tuple[PurePosixPath, ...], ...] = ()

    def path(self, file: PurePosixPath) -> Path:
        return self.root / file


@dataclass(slots=True)
class _Walk:
    root: Path
    real_root: str
    follow: bool
    files: list[PurePosixPath] = field(default_factory=list)
    trouble: dict[PurePosixPath, AtlasError] = field(default_factory=dict)
    empty: list[PurePosixPath] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    misnamed: list[str] = field(default_factory=list)
    real: dict[str, list[PurePosixPath]] = field(default_factory=dict)  # the names of each real file
    visits: Counter[str] = field(default_factory=Counter)
    litter: int = 0


def list_folder(root: Path, *, follow_links: bool = False) -> Folder:
    """All files below `root`. AtlasError for links out of it, and for names that are not UTF-8."""
    walk = _Walk(root, os.path.realpath(root), follow_links)
    todo = [(PurePosixPath(), walk.real_root, frozenset((walk.real_root,)))]
    while todo:
        folder, real, above = todo.pop()
        walk.visits[real] += 1
        if walk.visits[real] > MAX_VISITS:
            raise LimitError(f"{root / folder}: links lead here more than {MAX_VISITS} times; remove the links, or convert the folders one by one")
        before = len(walk.files) + len(walk.left_out) + len(todo)
        for name, entry in _entries(walk, folder):
            inner = _record(walk, folder / name, entry, real, above)
            if inner is not None:
                todo.append((folder / name, inner, above | {inner}))
        if folder.parts and len(walk.files) + len(walk.left_out) + len(todo) == before:
            walk.empty.append(folder)
    _refuse(walk)
    same = tuple(_own_first(real, names, walk.real_root) for real, names in sorted(walk.real.items()) if len(names) > 1)
    return Folder(root, _sorted(walk.files), walk.trouble, _sorted(walk.empty), tuple(sorted(walk.left_out)), tuple(_notes(walk)), same)


def _own_first(real: str, names: list[PurePosixPath], root: str) -> tuple[PurePosixPath, ...]:
    return tuple(sorted(names, key=lambda name: (os.path.join(root, name) != real, name.parts)))


def require_files(folder: Folder) -> None:
    """SchemaError for a folder without files."""
    if not folder.files:
        left = f"; left out: {folder.left_out[0]}" if folder.left_out else ""
        raise SchemaError(f"{folder.root}: the folder has no files (hidden ones are ignored); nothing to convert{left}")


def _sorted(files: list[PurePosixPath]) -> tuple[PurePosixPath, ...]:
    return tuple(sorted(files, key=lambda file: file.parts))


def _entries(walk: _Walk, folder: PurePosixPath) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The entries without litter, in the order of their names."""
    place = walk.root / folder
    try:
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(place, error) from error
    for entry in entries:
        if is_litter(entry.name):
            walk.litter += 1
        elif not _is_utf8(entry.name):
            walk.misnamed.append(os.fsencode(folder / entry.name).decode("utf-8", "backslashreplace"))
        else:
            yield entry.name, entry


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _record(walk: _Walk, name: PurePosixPath, entry: os.DirEntry[str], above: str, chain: frozenset[str]) -> str | None:
    """Records a file. Returns the real path if the entry is a folder to be listed."""
    try:
        link = entry.is_symlink()
        mode = entry.stat()
    except FileNotFoundError:
        _odd(walk, name, "a link to nothing", AtlasError(f"{walk.root / name}: {_target(entry)}, which does not exist; restore its target, or remove the link"))
        return None
    except OSError as problem:  # a link to itself
        _odd(walk, name, problem.strerror or "cannot be read", unreadable(walk.root / name, problem))
        return None
    real = os.path.realpath(entry.path) if link else os.path.join(above, entry.name)
    if link:
        if not stat.S_ISREG(mode.st_mode) and not stat.S_ISDIR(mode.st_mode):
            link = False  # reported as its target
        elif not (walk.follow or _is_inside(real, walk.real_root)):
            walk.outside.append(f"{name} -> {os.readlink(entry.path)}")
            return None
    if stat.S_ISDIR(mode.st_mode):
        if real in chain:
            walk.left_out.append(f"{name}: a link back to a folder that holds it")
            return None
        return real
    if not stat.S_ISREG(mode.st_mode):
        error = not_regular(walk.root / name, mode.st_mode)
        _odd(walk, name, str(error).removeprefix(f"{walk.root / name}: ").partition(";")[0], error)
        return None
    walk.files.append(name)
    walk.real.setdefault(real, []).append(name)
    if mode.st_size == 0 and is_media(name):
        walk.trouble[name] = CorruptError(f"{walk.root / name}: byte 0: the file is empty; restore it or remove it, then convert again")
    return None


def _odd(walk: _Walk, name: PurePosixPath, what: str, error: AtlasError) -> None:
    """An entry that cannot be read: a refused example if it has a data file's name, else it is
    left out."""
    if looks_like_data(name):
        walk.files.append(name)
        walk.trouble[name] = error
    else:
        walk.left_out.append(f"{name}: {what}")


def _target(entry: os.DirEntry[str]) -> str:
    try:
        return f"a link to {os.readlink(entry.path)}"
    except OSError:
        return "vanished while it was listed"


def _is_inside(real: str, root: str) -> bool:
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def _refuse(walk: _Walk) -> None:
    if walk.misnamed:
        raise SchemaError(
            f"{walk.root}: {_count(walk.misnamed, 'name is', 'names are')} not UTF-8: {_some(walk.misnamed)}; rename, e.g. with"
            " convmv -f latin1 -t utf8 -r --notest FOLDER, if the names are Latin-1"
        )
    if walk.outside:
        raise AtlasError(
            f"{walk.root}: {_count(walk.outside, 'link leads', 'links lead')} out of the folder: {_some(sorted(walk.outside))};"
            " to read what they name: --follow-links, or follow_links=True in Python"
        )


def _count(names: list[str], one: str, more: str) -> str:
    return f"{len(names):,} {one if len(names) == 1 else more}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _notes(walk: _Walk) -> Iterator[str]:
    if walk.litter:
        yield f"{walk.litter:,} hidden or system {'file' if walk.litter == 1 else 'files'} ignored (.*, __MACOSX, Thumbs.db, ...)"
