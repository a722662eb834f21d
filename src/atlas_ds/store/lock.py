"""Locks on folders, and locks that show that a process is active. By flock where the file system has it, else by files that name their owner.

It knows no Atlas format.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from atlas_ds.errors import WriterBusy
from atlas_ds.store.files import explained
from atlas_ds.store.owner import has_ended, is_near, new_token, owner_from_json, this_process
from atlas_ds.store.regular import open_regular, read_regular

LOCK = ".atlas.lock"
OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW  # never through a link, which may lead anywhere
HELD = ".atlas.lock-held"  # where there is no flock: it exists while the lock is held
LOCKS = (LOCK, HELD)
NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL))
MAX_BYTES = 1 << 16  # of HELD
TIMEOUT = 120.0  # seconds to wait for the lock where there is no flock: it is held for milliseconds
NETWORK = ("nfs", "lustre", "cifs", "smb", "ceph", "gpfs", "glusterfs", "fuse", "9p", "virtiofs", "beegfs", "afs", "orangefs", "pvfs")
class _Mine(threading.local):
    """The folders that a thread has locked, with the number of its process: a forked child has locked none."""

    def __init__(self) -> None:
        self.folders: set[tuple[int, str]] = set()


_mine = _Mine()


def is_lock(name: str) -> bool:
    """Whether a file is a lock of this module, by its name."""
    return name in LOCKS


def try_flock(fd: int) -> bool | None:
    """Tries to lock an open file: True if it did, False if another process holds the lock, None if the file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def is_flocked(path: Path) -> bool | None:
    """Whether a process holds the lock of a file; None if the file system has no locks."""
    fd = open_regular(path, OPEN)
    try:
        taken = try_flock(fd)
    finally:
        os.close(fd)
    return None if taken is None else not taken


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, for a short time: while journals are read and changed, or a manifest is replaced. One thread at a time.

    A thread that holds it may enter it again.
    """
    mine, key = _mine.folders, (os.getpid(), os.path.abspath(folder))
    if key in mine:
        yield
        return
    fd = _acquire_lock(folder)
    mine.add(key)
    try:
        if fd is not None:
            yield
        else:
            with _held(folder):
                yield
    finally:
        mine.discard(key)
        if fd is not None:
            try:
                fcntl.flock(fd, fcntl.LOCK_UN)  # a process that was forked in between has the file too, and would keep the lock
            finally:
                os.close(fd)


def _acquire_lock(folder: Path) -> int | None:
    """Locks the file of the folder and returns its descriptor; None if the file system has no locks. The kernel drops the lock when its holder ends."""
    while True:
        with explained(folder / LOCK):
            fd = open_regular(folder / LOCK, OPEN | os.O_CREAT)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                os.close(fd)
                return None
            if _same_file(fd, folder / LOCK):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # it was removed in between, with a folder that its writer released


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    path = folder / HELD
    mark = json.dumps(this_process().to_json() | {"token": new_token()}).encode()
    deadline, pause = time.monotonic() + TIMEOUT, 0.001
    while not _create_whole(path, mark):
        _break_if_ended(path)
        if time.monotonic() > deadline:
            why = f"another writer has held this lock for {TIMEOUT:.0f} s, though a writer needs it only for milliseconds"
            raise WriterBusy(f"{path}: {why}; if its process is gone, delete this file")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    try:
        yield
    finally:
        os.unlink(path)


def _create_whole(path: Path, data: bytes) -> bool:
    """Atomically creates a file with its bytes; False if it exists already."""
    step = path.with_name(f"{path.name}-{new_token()}")
    with explained(path):
        fd = os.open(step, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, data)
        try:
            os.link(step, path)
        except FileExistsError:
            return False
        return True
    finally:
        os.close(fd)
        os.unlink(step)


def _break_if_ended(path: Path) -> None:
    """Removes the lock of a process that ended while it held it."""
    try:
        judged = read_regular(path, MAX_BYTES, follow=False)
    except FileNotFoundError:
        return
    try:
        data = json.loads(judged)
        data.pop("token", None)
        owner = owner_from_json(data)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return
    if not (is_near(owner) and has_ended(owner.pid, owner.started)):
        return
    aside = path.with_name(f"{path.name}-{new_token()}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if read_regular(aside, MAX_BYTES, follow=False) != judged:  # another process broke it first and a third one acquired it: restore its lock
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    os.unlink(aside)


def remove_if_empty(folder: Path) -> None:
    """Removes a folder that holds nothing but its lock; leaves any other as it is."""
    with contextlib.suppress(FileNotFoundError):
        if set(os.listdir(folder)) <= {*LOCKS}:
            with locked(folder):
                if set(os.listdir(folder)) <= {*LOCKS}:
                    (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def flock_spans_machines(path: Path) -> bool:
    """Whether flock works across all machines that may write to this file system: on a local disk it does, because no other machine can."""
    return not _kind_of(path).startswith(NETWORK)


def _kind_of(path: Path) -> str:
    """The type of the file system of a path; "fuse" if it is unknown."""
    best, kind = -1, "fuse"
    where = os.path.realpath(path)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                left, _, right = line.partition(" - ")
                point = left.split()[4].encode("latin-1", "surrogateescape").decode("unicode_escape", "surrogateescape")
                if len(point) >= best and (where == point or where.startswith(point.rstrip("/") + "/")):
                    best, kind = len(point), right.split()[0]
    except (OSError, IndexError, UnicodeError):
        return "fuse"
    return kind
