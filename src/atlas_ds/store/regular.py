"""Regular files only: opened, read and removed by names that data, or a stranger, may have chosen. A pipe or a device in a file's place is an error at
once, not a wait; what is deleted is never a link's target."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from atlas_ds.errors import CorruptError, LimitError

READ = os.O_RDONLY | os.O_CLOEXEC
CAREFUL = os.O_NONBLOCK | os.O_NOCTTY  # a pipe without a writer does not make us wait, a terminal does not become ours
KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip
Name = str | os.PathLike[str]


def open_regular(path: Name, flags: int = READ) -> int:
    """A descriptor of a regular file, which the caller closes. NotRegular: something else is there; with O_NOFOLLOW also a link."""
    mode = (0o666,) if flags & os.O_CREAT else ()
    try:
        fd = os.open(path, flags | CAREFUL, *mode)
    except BlockingIOError:  # a file that another program holds a lease on
        if not stat.S_ISREG(os.stat(path, follow_symlinks=not flags & os.O_NOFOLLOW).st_mode):
            raise
        fd = os.open(path, flags, *mode)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link, with O_NOFOLLOW; else one that leads to itself
            raise not_regular(path, stat.S_IFLNK) from None
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise not_regular(path, os.stat(path, follow_symlinks=not flags & os.O_NOFOLLOW).st_mode) from None
        raise
    try:
        found = os.fstat(fd).st_mode
        if not stat.S_ISREG(found):
            raise not_regular(path, found)
    except BaseException:
        os.close(fd)
        raise
    return fd


class NotRegular(CorruptError):
    """Something else is in the place of a regular file."""


def not_regular(path: Name, mode: int) -> NotRegular:
    what = KINDS.get(stat.S_IFMT(mode), "something else")
    return NotRegular(f"{os.fspath(path)}: is {what}, and must be a regular file: remove it, or restore the file")


def read_regular(path: Name, limit: int, *, follow: bool = True) -> bytes:
    """All bytes of a file. LimitError if it has more than `limit`, before any is read. follow: whether the name may be a link."""
    fd = open_regular(path, READ if follow else READ | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size
        if size > limit:
            raise LimitError(f"{os.fspath(path)}: has {size:,} bytes, and at most {limit:,} are read")
        pieces = []
        while size and (piece := os.read(fd, size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def is_regular(path: Name, size: int | None = None) -> bool:
    """Whether a regular file, not a link to one, is there; with `size`, one of so many bytes."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)


def is_folder(path: Name) -> bool:
    """Whether a folder, not a link to one, is there."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def remove_regular(path: Path, size: int | None = None) -> None:
    """Removes a regular file (of so many bytes); leaves anything else as it is: no writer made that."""
    if is_regular(path, size):
        path.unlink(missing_ok=True)
