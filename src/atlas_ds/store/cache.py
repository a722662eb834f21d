"""A cache on a disk: mirrors of files of stores, shared by the processes of a machine, which together take no more than a limit.

    lock              bytes of it are locked, see below
    ledger            what the cache takes, see ledger.py
    ab/abcd...        a mirror, and abcd....map beside it: see mirror.py

A block is fetched by whoever has its lock; the others wait. It is evicted by whoever has its lock too: states are cleared, readers of all processes
are waited for, its bytes become a hole. So nobody reads what goes, and nobody's kill -9 leaves more than a block that is fetched once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import Pins, States
from atlas_ds.forks import Lock, in_child
from atlas_ds.store.byte_locks import ByteLocks, waiting
from atlas_ds.store.ledger import EVICT_LOCK, Ledger
from atlas_ds.store.mirror import MAP, PAGE, Mirror, MirrorFailed, Writing, failing
from atlas_ds.store.requests import Block, Requests
from atlas_ds.store.store import Bytes

if TYPE_CHECKING:
    from atlas_ds.store.span import Span

ABSENT, PRESENT, USED, COLD = range(4)  # an atlas_state
HEAD_LOCK, BLOCK_LOCKS = 0, 2  # of a mirror, after its number << 32
FETCH_PATIENCE = 25.0  # seconds to wait for a block that another process fetches
ROOM_PATIENCE = 10.0  # seconds to wait for room
READER_PATIENCE = 1.0  # seconds to wait for readers of what is to be evicted
UNUSED = 60.0  # seconds after which a mirror without any block goes wholly
FRESH = 5.0  # seconds in which what was fetched, and not read yet, stays
AT_ONCE = 16 << 20  # bytes that are reserved in one step
LET_GO = 64 << 20  # bytes fetched, after which pages are let go
ALIGN = 64  # of blocks in a file: what lies nearer is beside it


class CacheInfo(NamedTuple):
    """bytes: used and reserved. processes: that have it open."""

    bytes: int
    processes: int


class Cache:
    """Of a folder; one in a process, see cache_at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock()
        self._open()
        self.pins = Pins(self._ledger.pins_memory(self._ledger.slot))
        self.evictions = 0  # blocks, by this process
        self._spans: weakref.WeakSet[Span] = weakref.WeakSet()
        self._looked_at: weakref.WeakSet[Span] = weakref.WeakSet()
        self._since = 0  # bytes fetched since pages were let go
        self._used: dict[int, float] = {}  # when a mirror was last noted as used
        in_child(self)

    def _open(self) -> None:
        with failing(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = os.stat(self.folder)
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise MirrorFailed(f"the cache at {self.folder}: others may read or write it; give a folder of your own: chmod 700 {self.folder}")
            self._locks = ByteLocks(self.folder / "lock")
            self._ledger = Ledger(self.folder / "ledger", self._locks)
            if self._ledger.is_new:
                self._ledger.recount(self.mirrors())

    def after_fork(self) -> None:
        try:
            self._ledger.take_slot()
            self.pins.move(self._ledger.pins_memory(self._ledger.slot))
        except Exception:  # others do not see this process read: so it finds nothing there, and nothing can be fetched
            self._ledger.slot = -1
            for span in self._spans:
                span.show(States(len(span.states)))

    # --- mirrors ---

    def mirror(self, url: str, version: str, size: int, most: int, limit: int | None) -> Mirror:
        """The mirror of a file. most: blocks that it may have. MirrorFailed if it cannot be made."""
        name = hashlib.sha256(f"{url}\0{version}\0{size}".encode()).hexdigest()
        mirror = Mirror(self.folder / name[:2] / name, number_of(name), size, most, url, version)
        for _ in range(3):
            if mirror.map_path.exists():
                is_open = self._open_mirror(mirror)
            else:
                room = mirror.map_size + 4 * PAGE  # for folders, and the file system's own notes
                self._reserve(room, limit)
                is_open = False
                try:
                    is_open = self._open_mirror(mirror)
                finally:
                    self._ledger.settle(room, {mirror: 0} if is_open else {})
            if is_open:
                return mirror
        raise MirrorFailed(f"{mirror.map_path}: is not the map of a mirror")

    def _open_mirror(self, mirror: Mirror) -> bool:
        """Whether it is open; a broken one is removed."""
        with failing(self.folder), self._head(mirror):
            mirror.path.parent.mkdir(mode=0o700, exist_ok=True)
            is_open = False
            try:
                is_open = mirror.open()
                return is_open
            finally:
                if not is_open:
                    mirror.remove()

    @contextlib.contextmanager
    def _head(self, mirror: Mirror) -> Iterator[None]:
        try:
            with self._locks.holding(mirror.number << 32 | HEAD_LOCK, FETCH_PATIENCE):
                yield
        except TimeoutError as error:
            raise MirrorFailed(f"the cache at {self.folder}: {error}") from error

    def keep(self, mirror: Mirror, offset: int, data: Bytes, limit: int | None) -> None:
        """Stores what lies outside the blocks."""
        size = memoryview(data).nbytes
        room = room_for(offset, size)
        self._reserve(room, limit)
        try:
            with mirror.writing() as to:
                to.write(offset, data)
            with self._head(mirror):
                mirror.keep(offset, size)
        finally:
            self._ledger.settle(room, {mirror: size})

    def again(self, mirror: Mirror, limit: int | None) -> Mirror:
        """A mirror whose files were removed, made anew."""
        with self._lock.held:
            if not self._locks.is_there():
                old = self._ledger.pins_memory(self._ledger.slot)
                self._open()
                self.pins.move(self._ledger.pins_memory(self._ledger.slot))
                Pins(old).drained(READER_PATIENCE)
        return self.mirror(mirror.url, mirror.version, mirror.size, mirror.most, limit)

    def has(self, span: Span) -> None:
        """A span has a mirror here."""
        self._spans.add(span)

    def mirrors(self) -> Iterator[Mirror]:
        """All there are, those used longest ago first."""
        found = []
        with failing(self.folder):
            for folder in sorted(self.folder.glob("??")):
                with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                    for entry in entries:
                        with contextlib.suppress(FileNotFoundError):
                            if entry.name.endswith(MAP):
                                found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
        for _, path in sorted(found):
            mirror = Mirror.found(Path(path.removesuffix(MAP)), number_of(os.path.basename(path)))
            if mirror is not None:
                yield mirror

    def info(self) -> CacheInfo:
        """What it takes, and how many processes use it."""
        return CacheInfo(sum(self._ledger.sums()), self._ledger.processes())

    def clear(self) -> int:
        """Removes all mirrors; processes that read them go on, and make them anew when they fetch. Returns bytes freed."""
        freed = sum(self._remove(mirror) for mirror in self.mirrors())
        self._ledger.recount(self.mirrors())
        return freed

    # --- fetching ---

    def fill(self, blocks: Sequence[Block], requests: Requests, limit: int | None) -> None:
        """Makes blocks present in their mirrors; they may be evicted again at once. Raises what fetching one failed with; MirrorFailed if the cache
        cannot take it."""
        if self._ledger.slot < 0:
            raise MirrorFailed(f"the cache at {self.folder}: this forked process could not take part in it")
        waiting_for = [block for block in blocks if not block.span.states[block.number]]
        if waiting_for:
            self._check_fits(sum(room_for(*block.span.range_of(block.number)) for block in blocks), limit)
        pauses = waiting(FETCH_PATIENCE)
        at_once = AT_ONCE if limit is None else min(AT_ONCE, limit // 8)
        while waiting_for:
            part, size = [], 0
            claim = Claim(self._locks)
            try:
                for block in waiting_for:
                    mirror = mirror_of(block)
                    if size < at_once and claim.take(mirror, block.number) and not block.span.states[block.number]:
                        part.append(block)
                        size += block.span.range_of(block.number)[1]
                if part:
                    self._fetch(part, requests, limit, claim)
                    pauses = waiting(FETCH_PATIENCE)
            finally:
                claim.end()
            waiting_for = [block for block in waiting_for if not block.span.states[block.number]]
            if waiting_for and not part and not next(pauses):
                raise MirrorFailed(f"the cache at {self.folder}: another process has been fetching a block for {FETCH_PATIENCE:g} s")

    def _fetch(self, blocks: list[Block], requests: Requests, limit: int | None, claim: Claim) -> None:
        mirrors = {block.span: mirror_of(block) for block in blocks}
        room = sum(room_for(*block.span.range_of(block.number)) for block in blocks)
        stored: dict[Mirror, int] = {}
        failed: Exception | None = None
        self._reserve(room, limit)
        try:
            with contextlib.ExitStack() as stack:
                writers: dict[Span, Writing] = {}
                for span, mirror in mirrors.items():
                    writers[span] = stack.enter_context(mirror.writing())
                    stored[mirror] = 0

                def put(block: Block, data: Bytes) -> None:
                    writers[block.span].write(block.span.range_of(block.number)[0], data)

                for block, error in requests.load(blocks, put):
                    if error is None:
                        block.span.states.set(block.number)
                        stored[mirrors[block.span]] += block.span.range_of(block.number)[1]
                    failed = failed or error
                    claim.give(mirrors[block.span], block.number)
        finally:
            self._ledger.settle(room, stored)
        self._note_used(stored)
        self._let_go(mirrors, sum(stored.values()))
        if failed is not None:
            raise failed

    def _let_go(self, spans: Iterable[Span], size: int) -> None:
        """Now and then, lets the pages go that this process has looked at since; they stay in the system's memory of files."""
        with self._lock.held:
            self._looked_at.update(spans)
            self._since += size
            if self._since < LET_GO:
                return
            looked_at, self._looked_at, self._since = list(self._looked_at), weakref.WeakSet(), 0
        for span in looked_at:
            span.let_go()

    def _note_used(self, mirrors: Iterable[Mirror]) -> None:
        now = time.monotonic()
        for mirror in mirrors:
            if now - self._used.get(mirror.number, -FRESH) >= FRESH / 2:
                self._used[mirror.number] = now
                mirror.used_now()

    def drop(self, blocks: Sequence[Block]) -> None:
        """Forgets blocks whose bytes are wrong: the next one who needs them fetches them."""
        for block in blocks:
            block.span.states.clear(block.number)

    # --- room ---

    def limit_now(self, limit: int | None) -> int:
        """A limit in bytes; None: what is free on the disk, but for a part that stays free."""
        if limit is not None:
            return limit
        try:
            disk = os.statvfs(self.folder)
        except FileNotFoundError as error:
            raise MirrorFailed(f"the cache at {self.folder}: was removed", gone=True) from error
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        spare = min(max(total // 20, 1 << 30), total // 5)
        return self._ledger.sums()[0] + max(0, free - spare)

    def _check_fits(self, size: int, limit: int | None) -> None:
        most = self.limit_now(limit)
        if size > most:
            raise MirrorFailed(f"the cache at {self.folder}: {size:,} bytes are needed at once, and the limit is {most:,}")

    def _reserve(self, size: int, limit: int | None) -> None:
        self._check_fits(size, limit)
        pauses = waiting(ROOM_PATIENCE)
        while not self._ledger.reserve(size, self.limit_now(limit)):
            if not self._make_room(size, limit) and not next(pauses):
                used, reserved = self._ledger.sums()
                why = f"no room for {size:,} bytes: {used:,} are in use and {reserved:,} on their way; raise cache_limit"
                raise MirrorFailed(f"the cache at {self.folder}: {why}")

    def _make_room(self, size: int, limit: int | None) -> bool:
        """Evicts at least so much, and a little more. Whether anything went."""
        if not self._locks.try_take(EVICT_LOCK):
            return False
        try:
            most = self.limit_now(limit)
            goal = sum(self._ledger.sums()) + size + most // 16 - most
            freed = 0
            for kinds in ((COLD,), (COLD,), (PRESENT, USED, COLD)):
                for mirror in self.mirrors():
                    if freed >= goal:
                        return True
                    old = time.time() - mirror.last_used > FRESH
                    freed += self._evict(mirror, kinds if old or PRESENT not in kinds else (USED, COLD), goal - freed)
            mine = {span.mirror.path for span in self._spans if span.mirror is not None}
            for mirror in self.mirrors():
                if freed >= goal:
                    break
                if not mirror.shown().any() and mirror.path not in mine and time.time() - mirror.last_used > UNUSED:
                    freed += self._remove(mirror)
            if not freed:
                self._ledger.recount(self.mirrors())
            return freed > 0
        finally:
            self._locks.give(EVICT_LOCK)

    def _evict(self, mirror: Mirror, kinds: tuple[int, ...], goal: int) -> int:
        """Evicts blocks in some states, up to `goal` bytes or a little more; what was read since the last time is COLD now. Returns bytes freed."""
        count = mirror.count
        if count == 0:
            return 0
        states = mirror.states()
        starts, ends = mirror.blocks()
        shown = mirror.shown().copy()
        chosen = np.flatnonzero(np.isin(shown, kinds))
        for number in np.flatnonzero(shown == USED).tolist():
            states.age(number)
        if len(chosen) == 0:
            return 0
        chosen = chosen[np.argsort(starts[chosen])]
        chosen = chosen[: 1 + int(np.searchsorted(np.cumsum(ends[chosen] - starts[chosen]), goal))]
        claim = Claim(self._locks)
        try:
            mine = [number for number in chosen.tolist() if claim.take(mirror, number)]
            for number in mine:
                states.clear(number)
            if not self._drained():
                for number in mine:
                    states.set(number)
                return 0
            order = np.argsort(starts, kind="stable")
            is_mine = np.zeros(count, np.bool_)
            is_mine[mine] = True
            absent = np.array([state == ABSENT for state in mirror.shown()])
            for at in edges(is_mine[order]):  # a page that a block shares with one that nobody has can go, too
                number = int(order[at])
                if absent[number] and claim.take(mirror, number) and not states[number]:
                    is_mine[number] = True
            with mirror.writing() as file:
                for start, stop in holes(starts[order], ends[order], is_mine[order]):
                    file.punch(start, stop)
        except OSError:  # a file system without holes
            return self._remove(mirror)
        finally:
            claim.end()
        self.evictions += len(mine)
        return self._ledger.evicted(mirror, removed=False)

    def _remove(self, mirror: Mirror) -> int:
        """Removes both files; those who have them open go on, and find them gone when they fetch."""
        with self._locks.holding(mirror.number << 32 | HEAD_LOCK, READER_PATIENCE):
            mirror.remove()
        return self._ledger.evicted(mirror, removed=True)

    def _drained(self) -> bool:
        """Waits until every reader has left that came before this; False if one stays."""
        end = time.monotonic() + READER_PATIENCE
        return all(pins.drained(max(0.0, end - time.monotonic())) for pins in (self.pins, *self._ledger.others()))


class Claim:
    """Locks of blocks, all of which end() gives back."""

    def __init__(self, locks: ByteLocks) -> None:
        self._locks = locks
        self._asked: set[int] = set()

    def take(self, mirror: Mirror, number: int) -> bool:
        """Takes the lock of a block, if nobody has it."""
        at = mirror.number << 32 | (BLOCK_LOCKS + number)
        self._asked.add(at)
        return self._locks.try_take(at, self)

    def give(self, mirror: Mirror, number: int) -> None:
        at = mirror.number << 32 | (BLOCK_LOCKS + number)
        self._locks.give(at, self)
        self._asked.discard(at)

    def end(self) -> None:
        for at in self._asked:
            self._locks.give(at, self)

    def __del__(self) -> None:  # of a call that was interrupted in end()
        self.end()


_caches: weakref.WeakValueDictionary[str, Cache] = weakref.WeakValueDictionary()
_lock = Lock()


def cache_at(folder: Path) -> Cache:
    """The cache of a folder. MirrorFailed if there can be none."""
    key = os.path.realpath(folder)
    with _lock.held:
        found = _caches.get(key)
        if found is None:
            found = _caches[key] = Cache(Path(key))
        return found


def mirror_of(block: Block) -> Mirror:
    mirror = block.span.mirror
    if mirror is None:
        raise MirrorFailed(f"{block}: has left the cache meanwhile")
    return mirror


def number_of(name: str) -> int:
    """Of the locks of a mirror: 31 bits. Two that share it wait for each other now and then."""
    return int(name[:8], 16) >> 1


def room_for(offset: int, size: int) -> int:
    """The most that some bytes of a mirror can take."""
    return (-(-(offset + size) // PAGE) - offset // PAGE + 1) * PAGE  # and one for the file system's own notes


def edges(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Those that are not chosen, and whose neighbour is."""
    beside = np.zeros(len(chosen), np.bool_)
    beside[1:] |= chosen[:-1]
    beside[:-1] |= chosen[1:]
    return np.flatnonzero(beside & ~chosen)


def holes(starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The whole pages that lie in blocks that are chosen, in order of their offsets: (begin, end)."""
    start = stop = -1
    for low, high in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True):
        if low - stop >= ALIGN:  # something else lies between
            yield from pages(start, stop)
            start = low
        stop = high
    yield from pages(start, stop)


def pages(start: int, stop: int) -> Iterator[tuple[int, int]]:
    low, high = -(-start // PAGE) * PAGE, stop // PAGE * PAGE
    if 0 <= low < high:
        yield low, high
