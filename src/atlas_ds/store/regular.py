"""Opens, reads and removes regular files whose names come from data. A pipe or a device is an immediate error, never a wait.

The target of a link is never deleted.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from atlas_ds.errors import CorruptError, LimitError

READ = os.O_RDONLY | os.O_CLOEXEC
CAREFUL = os.O_NONBLOCK | os.O_NOCTTY  # do not wait for the writer of a pipe, do not acquire a terminal
KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip
Name = str | os.PathLike[str]


def open_regular(path: Name, flags: int = READ) -> int:
    """A descriptor of a regular file, which the caller closes. NotRegular for anything else; with O_NOFOLLOW also for a link."""
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
    """The path is not a regular file."""


def not_regular(path: Name, mode: int) -> NotRegular:
    what = KINDS.get(stat.S_IFMT(mode), "something else")
    return NotRegular(f"{os.fspath(path)}: is {what}, and must be a regular file: remove it, or restore the file")


def read_regular(path: Name, limit: int, *, follow: bool = True) -> bytes:
    """All bytes of a file. LimitError if it has more than `limit`, before any is read. follow: whether the name may be a link."""
    return read_with_stat(path, limit, follow=follow)[0]


def read_with_stat(path: Name, limit: int, *, follow: bool = True) -> tuple[bytes, os.stat_result]:
    """As read_regular, and what the file was when it was opened."""
    fd = open_regular(path, READ if follow else READ | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd)
        size = found.st_size
        if size > limit:
            raise LimitError(f"{os.fspath(path)}: has {size:,} bytes, and at most {limit:,} are read")
        pieces = []
        while size and (piece := os.read(fd, size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces), found
    finally:
        os.close(fd)


def is_regular(path: Name, size: int | None = None) -> bool:
    """Whether the path is a regular file, not a link to one; with `size`, of that many bytes."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)


def is_folder(path: Name) -> bool:
    """Whether the path is a folder, not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def remove_regular(path: Path, size: int | None = None) -> None:
    """Removes a regular file (of `size` bytes); leaves anything else, which no writer made."""
    if is_regular(path, size):
        path.unlink(missing_ok=True)
