"""Adds the path, and what to do, to errors of the operating system. Their type and number do not change."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

CURES = {
    errno.ENOSPC: "the disk is full: make room there, or write elsewhere",
    errno.EDQUOT: "your quota there is used up: make room, or write elsewhere",
    errno.EMFILE: "this process has too many files open: close some, or raise the limit (`ulimit -n`)",
    errno.ENFILE: "the system has too many files open: close some",
    errno.ENOMEM: "no memory is left for it: close other programs, or raise vm.max_map_count if very many files are mapped",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to read or write there: change its permissions, or choose another folder",
}


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Adds the path, and what to do, to the system's errors; their type does not change."""
    try:
        yield
    except OSError as error:
        explain(error, path)
        raise


def explain(error: OSError, path: Path) -> None:
    if error.errno is None:
        return
    if error.filename is None:
        error.filename = str(path)
    cure = CURES.get(error.errno)
    if cure is not None and cure not in str(error.strerror):
        reword(error, f"{error.strerror}: {cure}")


def reword(error: OSError, words: str) -> None:
    """Replaces the text of a system error, whose type and number do not change, even when it is pickled."""
    error.strerror = words
    error.args = (error.errno, words)
