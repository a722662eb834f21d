"""One process at a time in a folder, and signs that a process is at work there. By flock where the file system has it, else by files whose owner is
known. Knows no Atlas format."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from atlas_ds.errors import WriterBusy
from atlas_ds.store.local import explained
from atlas_ds.store.owner import has_ended, is_near, new_token, owner_from_json, this_process
from atlas_ds.store.regular import open_regular, read_regular

LOCK = ".atlas.lock"
OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW  # never through a link: a stranger may have put it there
HELD = ".atlas.lock-held"  # where there is no flock: it exists while somebody is inside
NO_LOCKS = frozenset((errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL))
MAX_BYTES = 1 << 16  # of such a file
PATIENCE = 120.0  # seconds to wait for another's turn where there is no flock: it takes milliseconds
NETWORK = ("nfs", "lustre", "cifs", "smb", "ceph", "gpfs", "glusterfs", "fuse", "9p", "virtiofs", "beegfs", "afs", "orangefs", "pvfs")


def is_lock(name: str) -> bool:
    """Whether a file is a lock of this module, by its name."""
    return name in (LOCK, HELD)


def try_flock(fd: int) -> bool | None:
    """Takes the lock of an open file: True; False if another has it; None if the file system has no locks."""
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
    """One process (and thread) at a time, for a moment: the files that tell who is at work are read and changed, and a manifest is replaced."""
    fd = _acquire_lock(folder)
    try:
        if fd is not None:
            yield
        else:
            with _held(folder):
                yield
    finally:
        if fd is not None:
            try:
                fcntl.flock(fd, fcntl.LOCK_UN)  # a process that was forked meanwhile has the file too, and would keep the lock
            finally:
                os.close(fd)


def _acquire_lock(folder: Path) -> int | None:
    """The locked file; None if there are no locks. The kernel drops the lock with its holder."""
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
        os.close(fd)  # it was removed meanwhile, with a folder that was given up


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    path = folder / HELD
    mark = json.dumps(this_process().to_json() | {"token": new_token()}).encode()
    deadline, pause = time.monotonic() + PATIENCE, 0.001
    while not _create_whole(path, mark):
        _break_if_ended(path)
        if time.monotonic() > deadline:
            raise WriterBusy(f"{path}: another writer has been inside for {PATIENCE:.0f} s, which takes milliseconds; if its process is gone, delete this file")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    try:
        yield
    finally:
        os.unlink(path)


def _create_whole(path: Path, data: bytes) -> bool:
    """Makes a file with its bytes, in one step; False if one is there."""
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
    """Takes away the sign of a process that ended inside."""
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
    if read_regular(aside, MAX_BYTES, follow=False) != judged:  # somebody else broke it first, and another came in: that one's sign goes back
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    os.unlink(aside)


def remove_folder(folder: Path) -> None:
    """Takes away a folder in which nothing is left but its lock; leaves any other as it is."""
    with contextlib.suppress(FileNotFoundError):
        if set(os.listdir(folder)) <= {LOCK, HELD}:
            with locked(folder):
                if set(os.listdir(folder)) <= {LOCK, HELD}:
                    (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def reaches_all(path: Path) -> bool:
    """Whether flock on this file system is one for all machines that may write there: that of a local disk is, for no other machine can."""
    return not _kind_of(path).startswith(NETWORK)


def _kind_of(path: Path) -> str:
    """The type of the file system that a path lies on; "fuse" if it cannot be told."""
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
