"""Opens the files of a source: only regular ones, whatever compresses them, never more than the limits allow. It knows no format."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path, PurePosixPath
from typing import IO

from atlas_ds.bridge.compression.reading import MAX_EXPANSION, open_unpacked
from atlas_ds.errors import AtlasError, CorruptError, UnsupportedError

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


def open_regular(path: Path) -> IO[bytes]:
    """The file, once it is known to be a regular one: a pipe would wait for ever, a device has no end."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unreadable(path, error) from error
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise not_regular(path, mode)
    return open(number, "rb")


def not_regular(path: Path | str, mode: int) -> UnsupportedError:
    """The error for a pipe, a device, a socket or a folder in the place of a file."""
    kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    return UnsupportedError(f"{path}: {kind}; only regular files are read: copy its content into a file first")


def read_head(path: Path, size: int = 64) -> bytes:
    """The first bytes of a file, for a look at its magic number."""
    try:
        with open_regular(path) as file:
            return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def open_binary(path: Path, max_expansion: int = MAX_EXPANSION) -> IO[bytes]:
    """The file, decompressed on the fly if its first bytes say so (the name does not matter). LimitError where it expands more than allowed."""
    file = open_regular(path)
    try:
        return open_unpacked(file, str(path), max_expansion)
    except BaseException:
        file.close()
        raise


def open_text(path: Path, encoding: str = "utf-8-sig", max_expansion: int = MAX_EXPANSION) -> IO[str]:
    """The file as text, with or without a byte order mark, line ends untouched."""
    return io.TextIOWrapper(open_binary(path, max_expansion), encoding=encoding, newline="")


def unreadable(path: Path | str, error: OSError) -> AtlasError:
    """The error for a file that the system refuses to open or read."""
    if isinstance(error, FileNotFoundError):
        hints = {"*": "; for many write {000000..000099}, or name the folder", "~": "; ~ is not expanded"}
        hint = next((hint for mark, hint in hints.items() if mark in str(path)), "")
        return AtlasError(f"{path}: no such file; check the path{hint}")
    reason = error.strerror or type(error).__name__
    return AtlasError(f"{path}: cannot be read: {reason}; check its permissions, or move it away and convert again")


def inner_path(folder: Path, name: object, place: str) -> Path:
    """The path of a file that another names (an index, a list); never outside the folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise CorruptError(f"{place}: {name!r} is not a file name; restore the file")
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        raise CorruptError(f"{place}: names {name!r}, which lies outside the folder; only files inside it are read")
    return folder / parts


def not_utf8(path: Path | str, error: UnicodeDecodeError, place: str) -> CorruptError:
    """The error for text that is not UTF-8. `place` says where, since a stream's offset means little."""
    bad = error.object[error.start : error.start + 1].hex()
    return CorruptError(f"{path}: {place}: not UTF-8 (byte 0x{bad}); save the file as UTF-8, or say its encoding: --encoding latin1")
