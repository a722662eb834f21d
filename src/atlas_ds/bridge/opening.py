"""Opens the files of a source: regular files only, decompressed by their first bytes, within the
size limits. It is independent of formats."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from atlas_ds import _core
from atlas_ds.bridge.compression.reading import MAX_EXPANSION, open_unpacked
from atlas_ds.errors import AtlasError, CorruptError, UnsupportedError
from atlas_ds.store import regular

MAX_JSON = 1 << 28  # bytes of an index or a list that describes a source; the index of a million shards has 200 MB
MAX_PATH = 4096  # bytes, the zero byte at the end included, as Linux has it
MAX_NAME = 255  # bytes of each part of a path, as the common file systems have it

POINTER = b"version https://git-lfs"
POINTER_HINT = "a Git LFS pointer, not the file itself; fetch the file with: git lfs pull"


@contextmanager
def regular_only(path: Path) -> Iterator[None]:
    """Turns errors of opening or reading a file into errors that name the file."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error
    except regular.NotRegular:
        raise not_regular(path, os.stat(path).st_mode) from None


def open_regular(path: Path, buffering: int = -1) -> IO[bytes]:
    """Opens a file after checking that it is a regular one: a pipe would block forever, and a
    device has no end."""
    with regular_only(path):
        return open(regular.open_regular(path), "rb", buffering)


def not_regular(path: Path | str, mode: int) -> UnsupportedError:
    """The error for a pipe, a device, a socket or a folder where a file was expected."""
    kind = regular.KINDS.get(stat.S_IFMT(mode), "something else")
    return UnsupportedError(f"{path}: not a file but {kind}; only regular files are read: copy its content into a file first")


def read_head(path: Path, size: int = 64) -> bytes:
    """The first bytes of a file, which hold its magic number."""
    try:
        with open_regular(path) as file:
            return file.read(size) or b""  # None: a special file that would block
    except OSError as error:
        raise unreadable(path, error) from error


def refuse_pointer(path: Path, head: bytes) -> None:
    """UnsupportedError for a Git LFS pointer: the few lines of text that a clone without Git LFS
    has instead of the file."""
    if head.startswith(POINTER):
        raise UnsupportedError(f"{path}: {POINTER_HINT}")


def read_all(path: Path, limit: int) -> bytes:
    """The complete content of a file of at most `limit` bytes."""
    with regular_only(path):
        return regular.read_regular(path, limit)


def read_json(path: Path, limit: int = MAX_JSON) -> Any:
    """The JSON value of a file that describes a source."""
    data = read_all(path, limit)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{path}: not JSON: {error}; restore the file") from error


def map_bytes(path: Path) -> memoryview:
    """A file's bytes, mapped into memory, not read. No descriptor is kept."""
    with regular_only(path):
        fd = regular.open_regular(path)
        try:
            size = os.fstat(fd).st_size
            return memoryview(_core.Region(size, fd) if size else b"")
        finally:
            os.close(fd)


def open_binary(path: Path, max_expansion: int = MAX_EXPANSION) -> IO[bytes]:
    """The file, decompressed while it is read if its first bytes are those of a compressed file.
    LimitError if it expands more than allowed."""
    file = open_regular(path)
    try:
        return open_unpacked(file, str(path), max_expansion)
    except OSError as error:
        file.close()
        raise unreadable(path, error) from error
    except BaseException:
        file.close()
        raise


class Missing(AtlasError, FileNotFoundError):
    """The file does not exist."""


def unreadable(path: Path | str, error: OSError) -> AtlasError:
    """The error for a file that the operating system cannot open or read."""
    if isinstance(error, FileNotFoundError):
        return Missing(f"{path}: no such file; check the path{hint_of(path)}")
    reason = error.strerror or type(error).__name__
    return AtlasError(f"{path}: cannot be read: {reason}; check its permissions, or move it away and convert again")


def hint_of(path: Path | str) -> str:
    """What to do about a path that does not exist because a pattern in it was not expanded."""
    many = "; for many write {000000..000099}, or name the folder"
    hints = {"*": many, "?": many, "%0": many, "~": "; ~ is not expanded"}
    return next((hint for mark, hint in hints.items() if mark in str(path)), "")


def inner_path(folder: Path, name: object, place: str, *, follow_links: bool = False) -> Path:
    """The path of a file that an index or a list names. It is never outside the folder, not even
    through links, unless follow_links is set."""
    if not isinstance(name, str) or not name or "\0" in name or not _encodes(name):
        raise CorruptError(f"{place}: {str(name)[:80]!r} is not a file name; restore the file")
    parts = PurePosixPath(name)
    if not parts.parts:
        raise CorruptError(f"{place}: {name!r} is the folder itself, not a file in it; restore the file")
    if parts.is_absolute() or ".." in parts.parts:
        raise CorruptError(f"{place}: names {name!r}, which is outside the folder; only files inside it are read")
    check_inside(folder, folder / parts, follow_links)
    return folder / parts


def _encodes(name: str) -> bool:
    try:
        return len(os.fsencode(name)) < MAX_PATH and all(len(os.fsencode(part)) <= MAX_NAME for part in name.split("/"))
    except UnicodeEncodeError:  # a lone surrogate that encodes no byte
        return False


def check_inside(root: Path, path: Path, follow_links: bool) -> None:
    """UnsupportedError if a link leads from `path`, which is below `root`, to a place outside of
    `root`."""
    if follow_links:
        return
    real, inside = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath((real, inside)) != inside:
        raise UnsupportedError(
            f"{path}: a link to {real}, which is outside of {root}; to read files that links name outside: --follow-links, or follow_links=True in Python"
        )


def not_utf8(path: Path | str, error: UnicodeDecodeError, place: str) -> CorruptError:
    """The error for text that is not UTF-8. `place` says where, since an offset in a stream
    means little."""
    bad = error.object[error.start : error.start + 1].hex()
    return CorruptError(f"{path}: {place}: not UTF-8 (byte 0x{bad}); save the file as UTF-8, or set its encoding: --encoding latin1")
