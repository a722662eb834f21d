"""A mirror: two files of a cache for one file of a store. One has its bytes, as far as they were fetched, where they are there; it has holes. The other,
its map, says which those are. Processes share both. Who may write when is in cache.py.

Bytes are written by pwrite, never through memory (a full disk would be a signal), and a state is set after them. The files are never made shorter,
only removed; who has them open goes on.

The map: 4,096 bytes of head, 4,096 bytes with the ranges that stay (what lies outside the blocks), then a state (atlas_state) for each block that the
file may have, their offsets, and their ends. Where the file itself has no hashes of its blocks, the XXH3-64 of each follows, as it was fetched.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import Region, States, hash64, punch_hole
from atlas_ds.store.store import Bytes

PAGE = 4096
MAGIC = b"ATLASMAP"
MAGIC_HASHED = b"ATLASMPH"  # of a map with hashes
HEAD = struct.Struct("<8sQQQ")  # magic, bytes of the file, blocks that it may have, blocks that it has (0: not known yet)
COUNT_AT = 24
CHARGED_AT = 32  # bytes that the ledger has for this mirror
STORED_AT = 40  # bytes that were stored since it was counted last
URL_AT, MAX_URL = 1024, 3072
RANGE = struct.Struct("<QQ")  # offset and size of what stays; size 0: none
RANGES = PAGE // RANGE.size
STATES_AT = 2 * PAGE
OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
MAP = ".map"


class MirrorFailed(Exception):
    """The cache cannot take or give what was asked; its text says why. gone: its files were removed. quiet: users need not know."""

    def __init__(self, why: str, *, gone: bool = False, quiet: bool = False) -> None:
        super().__init__(why)
        self.gone, self.quiet = gone, quiet


@contextlib.contextmanager
def failing(path: Path) -> Iterator[None]:
    """Errors of the system as MirrorFailed."""
    try:
        yield
    except OSError as error:
        raise MirrorFailed(f"the cache at {path}: {error.strerror or error}", gone=isinstance(error, FileNotFoundError)) from error


class Mirror:
    """path: of the file with the bytes. number: of its locks, see cache.py. most: blocks that the file may have. hashed: whether it keeps their
    hashes, since the file has none."""

    def __init__(self, path: Path, number: int, size: int, most: int, url: str = "", version: str = "", *, hashed: bool = False) -> None:
        self.path, self.number, self.size, self.most, self.url, self.version, self.hashed = path, number, size, most, url, version, hashed
        self.map_path = path.with_name(path.name + MAP)
        self.inode = self.map_inode = 0
        self.map: Region | None = None
        self.view = memoryview(b"")
        self._blocks: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    @staticmethod
    def found(path: Path, number: int) -> Mirror | None:
        """The one that is at a path, if there is a whole one."""
        try:
            fd = os.open(path.with_name(path.name + MAP), OPEN)
            try:
                head = os.pread(fd, PAGE, 0)
            finally:
                os.close(fd)
            if len(head) < PAGE or head[: len(MAGIC)] not in (MAGIC, MAGIC_HASHED):
                return None
            magic, size, most, _ = HEAD.unpack_from(head)
            mirror = Mirror(path, number, size, most, head[URL_AT:].rstrip(b"\0").decode("utf-8", "replace"), hashed=magic == MAGIC_HASHED)
            return mirror if size and mirror.open(make=False) else None
        except (OSError, ValueError, OverflowError):
            return None

    @property
    def map_size(self) -> int:
        return map_bytes(self.most, self.hashed)

    def open(self, *, make: bool = True) -> bool:
        """Opens both files; False if they are not of this file, or broken. make: if they are not there; call it with the lock of the head then."""
        flags = OPEN | (os.O_CREAT if make else 0)
        fd = os.open(self.path, flags, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size == 0 and make and not self.map_path.exists():  # an old map would speak of bytes that are not there
                os.ftruncate(fd, self.size)
            elif size != self.size:
                return False
            self.inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        fd = os.open(self.map_path, flags, 0o600)
        try:
            head = HEAD.pack(MAGIC_HASHED if self.hashed else MAGIC, self.size, self.most, 0)
            if os.fstat(fd).st_size == 0 and make:
                os.ftruncate(fd, self.map_size)
                os.posix_fallocate(fd, 0, self.map_size)  # it is written to through memory
                os.pwrite(fd, head.ljust(URL_AT, b"\0") + self.url.encode("utf-8", "replace")[:MAX_URL].ljust(MAX_URL, b"\0"), 0)
            if os.fstat(fd).st_size != self.map_size or os.pread(fd, COUNT_AT, 0) != head[:COUNT_AT]:
                return False
            self.map_inode = os.fstat(fd).st_ino
            self.map = Region(self.map_size, fd, writable=True)
            self.view = memoryview(self.map).cast("B")
        finally:
            os.close(fd)
        return self.count <= self.most

    @property
    def count(self) -> int:
        """How many blocks it has; 0 before anybody said it."""
        found: int = struct.unpack_from("<Q", self.view, COUNT_AT)[0]
        return found

    def region(self) -> Region:
        """Its bytes, as memory."""
        with self._open() as fd:
            return Region(self.size, fd)

    def show_in(self, region: Region) -> None:
        with self._open() as fd:
            region.show_file(fd)

    @contextlib.contextmanager
    def _open(self) -> Iterator[int]:
        """A descriptor of the file with the bytes. MirrorFailed if it was removed, or replaced by another one."""
        with failing(self.path.parent.parent):
            fd = os.open(self.path, OPEN)
        try:
            if os.fstat(fd).st_ino != self.inode or not self.is_there():
                raise MirrorFailed(f"the cache at {self.path.parent.parent}: it was removed while it was used", gone=True)
            yield fd
        finally:
            os.close(fd)

    def is_there(self) -> bool:
        """Whether both files still have their names. The number of the map is nobody else's, since it is open here."""
        try:
            numbers = [os.stat(path, follow_symlinks=False).st_ino for path in (self.path, self.map_path)]
        except FileNotFoundError:
            return False
        return numbers == [self.inode, self.map_inode]

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """To store bytes in it."""
        with self._open() as fd:
            yield Writing(self, fd)

    # --- blocks ---

    def divide(self, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> States:
        """The states, shared by all processes, of the blocks that begin and end there. MirrorFailed if the map has others: it is damaged."""
        count = len(starts)
        if self.count == 0 and 0 < count <= self.most:
            at = states_end(self.most)
            self.view[at : at + 8 * count] = starts.astype("<i8").tobytes()
            self.view[at + 8 * self.most : at + 8 * (self.most + count)] = ends.astype("<i8").tobytes()
            struct.pack_into("<Q", self.view, COUNT_AT, count)
        found = self.blocks()
        if not (np.array_equal(found[0], starts) and np.array_equal(found[1], ends)):
            self.remove()
            raise MirrorFailed(f"the cache at {self.map_path}: named other blocks than the file has, and was removed", gone=True)
        return self.states()

    def states(self) -> States:
        return States(self.count, self.map, STATES_AT) if self.count else States(0)

    def shown(self) -> npt.NDArray[np.uint8]:
        """The states, as they are at this moment."""
        return np.frombuffer(self.view[STATES_AT : STATES_AT + self.count].tobytes(), np.uint8)

    def blocks(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where the blocks begin and end."""
        if self._blocks is None or len(self._blocks[0]) != self.count:
            at = states_end(self.most)
            both = [np.frombuffer(self.view[begin : begin + 8 * self.count].tobytes(), "<i8").astype(np.int64) for begin in (at, at + 8 * self.most)]
            self._blocks = both[0], both[1]
        return self._blocks

    def _hash_at(self, number: int) -> int:
        return states_end(self.most) + 16 * self.most + 8 * number

    def note_hash(self, number: int, data: Bytes) -> None:
        """Keeps the hash of a block, before its state is set."""
        struct.pack_into("<Q", self.view, self._hash_at(number), hash64(data))

    def is_right(self, number: int, data: Bytes) -> bool:
        """Whether bytes are those of a block, by the hash that was kept."""
        found: int = struct.unpack_from("<Q", self.view, self._hash_at(number))[0]
        return found == hash64(data)

    # --- what lies outside ---

    def stays(self) -> list[tuple[int, int]]:
        """(offset, size) of what is there outside the blocks."""
        return [one for one in RANGE.iter_unpack(self.view[PAGE : 2 * PAGE]) if one[1]]

    def keep(self, offset: int, size: int) -> None:
        """Such bytes are there now, and stay. Call it with the lock of its head."""
        if (offset, size) not in self.stays():
            for number in range(RANGES):
                at = PAGE + number * RANGE.size
                if RANGE.unpack_from(self.view, at)[1] == 0:
                    RANGE.pack_into(self.view, at, offset, size)
                    return

    # --- what it takes ---

    @property
    def charged(self) -> int:
        found: int = struct.unpack_from("<Q", self.view, CHARGED_AT)[0]
        return found

    def measure(self, stored: int = 0) -> tuple[int, int]:
        """What it takes now, and the bytes that were stored since it was counted last, of which so many are new. They count where the file system is
        slow to say what it takes."""
        total = struct.unpack_from("<Q", self.view, STORED_AT)[0] + stored
        return (max(on_disk(self.path), total) + self.map_size if self.is_there() else 0), total

    def count_again(self) -> int:
        """What it takes, by the file system alone."""
        return on_disk(self.path) + self.map_size if self.is_there() else 0

    def charge(self, now: int, total: int = 0) -> None:
        """Notes what the ledger has for it, and the bytes stored since it was counted. Call it with the lock of the ledger."""
        struct.pack_into("<QQ", self.view, CHARGED_AT, now, total)

    @property
    def last_used(self) -> float:
        """When, as time.time() says it."""
        try:
            return os.stat(self.map_path).st_mtime
        except FileNotFoundError:
            return 0.0

    def used_now(self) -> None:
        """Makes it the one that was used last."""
        with contextlib.suppress(OSError):
            os.utime(self.map_path, (time.time(), time.time()))

    def remove(self) -> None:
        for path in (self.map_path, self.path):  # first what speaks of the other
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class Writing:
    """An open mirror."""

    def __init__(self, mirror: Mirror, fd: int) -> None:
        self._mirror, self._fd = mirror, fd

    def write(self, offset: int, data: Bytes) -> None:
        view = memoryview(data).cast("B")
        with failing(self._mirror.path.parent.parent):
            while view:
                count = os.pwrite(self._fd, view, offset)
                view, offset = view[count:], offset + count

    def punch(self, start: int, stop: int) -> None:
        """Whole pages become a hole. OSError where the file system has none."""
        punch_hole(self._fd, start, stop - start)


def states_end(most: int) -> int:
    return STATES_AT + -(-most // 8) * 8


def map_bytes(most: int, hashed: bool = False) -> int:
    return -(-(states_end(most) + (24 if hashed else 16) * most) // PAGE) * PAGE


def on_disk(path: Path) -> int:
    """Bytes that a file takes."""
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0
