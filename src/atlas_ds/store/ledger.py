"""What a cache takes on its disk, in a file that its processes share: so many bytes, and for each process what it has reserved and its readers' pins.

A process reserves before it asks a store for bytes, and settles after it has stored them. One that dies in between leaves a reservation, which counts
until somebody counts anew: the sum is never too small.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from atlas_ds._core.base import Pins, Region
from atlas_ds.store.byte_locks import ByteLocks
from atlas_ds.store.mirror import PAGE, Mirror, MirrorFailed, failing

MAGIC = b"ATLASLED"
BOOT = struct.Struct("<8s40s")  # magic, and which start of the machine
USED_AT = 64  # bytes that are used
SLOTS, SLOT_BYTES = 1024, 128  # one for each process: its pins, and what it has reserved
RESERVED_AT = 64  # in a slot
OWN_BYTES = PAGE + SLOTS * SLOT_BYTES  # which count, too
LEDGER_LOCK, EVICT_LOCK, SLOT_LOCKS = 0, 1, 1024  # bytes of the lock file; those of mirrors follow, see cache.py
PATIENCE = 10.0  # seconds for the lock of the ledger, which is held for microseconds, or while mirrors are counted


class Reservation:
    """size: bytes that are reserved, until it says 0 or is gone."""

    __slots__ = ("__weakref__", "size")

    def __init__(self) -> None:
        self.size = 0


class Ledger:
    """Of a cache, at a path. locks: of the cache. is_new: nobody has counted since the machine started, or since a process died that had reserved."""

    def __init__(self, path: Path, locks: ByteLocks) -> None:
        self._locks = locks
        self.slot = -1
        self._reservations: weakref.WeakSet[Reservation] = weakref.WeakSet()
        with failing(path.parent), self._locked():
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.ftruncate(fd, OWN_BYTES)
                os.posix_fallocate(fd, 0, OWN_BYTES)  # it is written to through memory
                self._map = Region(OWN_BYTES, fd, writable=True)
            finally:
                os.close(fd)
            self._view = memoryview(self._map).cast("B")
            numbers = np.frombuffer(cast("Any", self._map), "<u8")
            self._all_reserved = numbers[(PAGE + RESERVED_AT) // 8 :: SLOT_BYTES // 8]  # of each slot
            self.is_new = bytes(self._view[: BOOT.size]) != BOOT.pack(MAGIC, boot_id()) or len(self._dead()) > 0
        self.take_slot()

    def _dead(self) -> list[int]:
        """Slots of processes that died and had reserved bytes, which they may have stored."""
        return [slot for slot in self._all_reserved.nonzero()[0].tolist() if slot != self.slot and not self._is_alive(slot)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with self._locks.holding(LEDGER_LOCK, PATIENCE):
                yield
        except TimeoutError as error:
            raise MirrorFailed(f"the cache at {self._locks.path.parent}: {error}") from error

    def take_slot(self) -> None:
        """Takes a slot for this process. MirrorFailed if all are taken."""
        self._reservations = weakref.WeakSet()
        for slot in (self._all_reserved == 0).nonzero()[0].tolist():
            if self._locks.try_take(SLOT_LOCKS + slot, self):
                self.slot = slot
                return
        raise MirrorFailed(f"the cache at {self._locks.path.parent}: {SLOTS} processes use it, and no more can")

    def _at(self, slot: int) -> int:
        return PAGE + slot * SLOT_BYTES

    def pins_at(self) -> tuple[Region, int]:
        """Where the readers of this process are counted."""
        return self._map, self._at(self.slot)

    def _is_alive(self, slot: int) -> bool:
        return self._locks.is_taken(SLOT_LOCKS + slot)

    def others(self) -> list[Pins]:
        """The pins of the other processes that live."""
        return [Pins(self._map, self._at(slot)) for slot in range(SLOTS) if slot != self.slot and self._is_alive(slot)]

    def sums(self) -> tuple[int, int]:
        """Bytes that are used, and that all processes have reserved; of those that died, until it is counted anew."""
        used: int = struct.unpack_from("<Q", self._view, USED_AT)[0]
        return used, int(self._all_reserved.sum())

    def _use(self, more: int) -> None:
        struct.pack_into("<Q", self._view, USED_AT, max(0, self.sums()[0] + more))

    def _note_reserved(self) -> None:
        self._all_reserved[self.slot] = sum(one.size for one in list(self._reservations))

    def reserve(self, one: Reservation, size: int, limit: int) -> bool:
        """Reserves bytes, if the sum stays within the limit."""
        with self._locked():
            self._note_reserved()  # without those of calls that were interrupted
            if sum(self.sums()) + size > limit:
                return False
            self._reservations.add(one)
            one.size = size
            self._note_reserved()
            return True

    def settle(self, one: Reservation, stored: Mapping[Mirror, int]) -> None:
        """Gives a reservation back, after so many bytes were stored in some mirrors. If it ends in between, the sum is too large, never too small."""
        with self._locked():
            found = {mirror: mirror.measure(count) for mirror, count in stored.items()}
            self._use(sum(now - mirror.charged for mirror, (now, _) in found.items()))
            for mirror, (now, total) in found.items():
                mirror.charge(now, total)
            one.size = 0
            self._note_reserved()

    def evicted(self, mirror: Mirror) -> int:
        """Bytes were taken from a mirror, or all of it: returns how many are free again."""
        with self._locked():
            freed = mirror.charged - (now := mirror.count_again())
            mirror.charge(now)
            self._use(-freed)
            return freed

    def recount(self, mirrors: Iterable[Mirror]) -> None:
        """Counts what all mirrors take, and what living processes have reserved."""
        with self._locked():
            used = OWN_BYTES
            for mirror in mirrors:
                now = mirror.count_again()
                mirror.charge(now)
                used += now
            self._all_reserved[self._dead()] = 0
            struct.pack_into("<Q", self._view, USED_AT, used)
            self._view[: BOOT.size] = BOOT.pack(MAGIC, boot_id())
            self.is_new = False


def boot_id() -> bytes:
    """Which start of the machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()[:40]
    except OSError:
        return b"unknown"
