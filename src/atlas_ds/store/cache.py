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
import re
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from atlas_ds._core.base import Pins, States
from atlas_ds.errors import AtlasError
from atlas_ds.forks import Lock, in_child
from atlas_ds.store.byte_locks import ByteLocks, waiting
from atlas_ds.store.ledger import EVICT_LOCK, Ledger, Reservation
from atlas_ds.store.mirror import MAP, PAGE, Mirror, MirrorFailed, Writing, failing
from atlas_ds.store.requests import Block, Requests
from atlas_ds.store.store import Bytes

if TYPE_CHECKING:
    from atlas_ds.store.span import Span

ABSENT, PRESENT, USED, COLD = range(4)  # an atlas_state
STATES = np.arange(256)
COLD_ONLY, READ, ALL, UNSEEN = STATES == COLD, STATES >= USED, STATES != ABSENT, STATES == ABSENT  # which are evicted; what no state shows is left of the dead
NAME = re.compile("[0-9a-f]{64}")
HEAD_LOCK, BLOCK_LOCKS = 0, 2  # of a mirror, after its number << 32
FETCH_PATIENCE = 25.0  # seconds to wait for a block that another process fetches
ROOM_PATIENCE = 10.0  # seconds to wait for room
READER_PATIENCE = 1.0  # seconds to wait for readers of what is to be evicted
UNUSED = 60.0  # seconds after which a mirror without any block goes wholly
FRESH = 5.0  # seconds in which what was fetched, and not read yet, stays
AT_ONCE = 64 << 20  # bytes that are reserved in one step
LET_GO = 16 << 20  # bytes fetched, after which pages are let go
ALIGN = 64  # of blocks in a file: what lies nearer is beside it


class CacheInfo(NamedTuple):
    """bytes: used and reserved. processes: that have it open."""

    bytes: int
    processes: int


class Cache:
    """Of a folder; one in a process, see cache_at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = Lock(again=True)
        self._files = self._opened()
        self.pins = Pins(*self._ledger.pins_at())
        self.evictions = 0  # blocks, by this process
        self._spans: weakref.WeakSet[Span] = weakref.WeakSet()
        self._looked_at: weakref.WeakSet[Span] = weakref.WeakSet()
        self._since = 0  # bytes fetched since pages were let go
        self._used: dict[int, float] = {}  # when a mirror was last noted as used
        in_child(self)
        self._count_if_new()

    @property
    def _locks(self) -> ByteLocks:
        return self._files[0]

    @property
    def _ledger(self) -> Ledger:
        return self._files[1]

    def _opened(self) -> tuple[ByteLocks, Ledger]:
        with failing(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = os.stat(self.folder)
            if found.st_uid == os.geteuid() and not any(self.folder.iterdir()):  # a folder that was made for it
                self.folder.chmod(0o700)
                found = os.stat(self.folder)
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise MirrorFailed(f"the cache at {self.folder}: others may read or write it; give a folder that is yours alone (chmod 700)")
            locks = ByteLocks(self.folder / "lock")
            return locks, Ledger(self.folder / "ledger", locks)

    def _count_if_new(self) -> None:
        if self._ledger.is_new:
            self._ledger.recount(self.mirrors())

    def _open_again(self) -> None:
        """After the folder was removed: makes its files anew."""
        with self._lock.held:
            if not self._locks.is_there():
                left = Pins(*self._ledger.pins_at())
                self._files = self._opened()
                self.pins.move(*self._ledger.pins_at(), left)
                self._count_if_new()

    def after_fork(self) -> None:
        try:
            self._locks.after_fork()
            self._ledger.take_slot()
            self.pins.move(*self._ledger.pins_at())
        except Exception:  # others do not see this process read: so it finds nothing there, and nothing can be fetched
            self._ledger.slot = -1
            for span in self._spans:
                span.show(States(len(span.states)))

    # --- mirrors ---

    def mirror(self, url: str, version: str, size: int, most: int, limit: int | None, *, hashed: bool = False) -> Mirror:
        """The mirror of a file. most: blocks that it may have. hashed: it keeps their hashes. MirrorFailed if it cannot be made."""
        name = hashlib.sha256(f"{url}\0{version}\0{size}".encode()).hexdigest()
        mirror = Mirror(self.folder / name[:2] / name, number_of(name), size, most, url, version, hashed=hashed)
        for _ in range(3):
            if self._ledger.slot < 0:
                raise MirrorFailed(f"the cache at {self.folder}: this forked process could not take part in it")
            self._open_again()
            is_old = mirror.map_path.exists()
            with self._reserved(0 if is_old else mirror.map_size + 4 * PAGE, limit) as stored:  # for folders, and the file system's own notes
                if self._open_mirror(mirror) and self._locks.is_there():
                    stored[mirror] = 0
                    return mirror
        raise MirrorFailed(f"{mirror.map_path}: is not the map of a mirror")

    def _open_mirror(self, mirror: Mirror) -> bool:
        """Whether it is open; a broken one is removed."""
        with failing(self.folder), self._head(mirror):
            mirror.path.parent.mkdir(mode=0o700, exist_ok=True)
            is_open = mirror.open()
            if not is_open:
                mirror.remove()
            return is_open

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
        with self._reserved(room_for(offset, size), limit) as stored:
            with mirror.writing() as to:
                to.write(offset, data)
                stored[mirror] = size
            with self._head(mirror):
                mirror.keep(offset, size)

    def again(self, mirror: Mirror, limit: int | None) -> Mirror:
        """A mirror whose files were removed, made anew."""
        return self.mirror(mirror.url, mirror.version, mirror.size, mirror.most, limit, hashed=mirror.hashed)

    def add(self, span: Span) -> None:
        """A span has a mirror here."""
        self._spans.add(span)

    def mirrors(self) -> Iterator[Mirror]:
        """All there are, those used longest ago first. What is not a whole mirror, and nobody is making, is removed."""
        return self._opened_mirrors(self._paths())

    def _paths(self) -> list[Path]:
        """Where mirrors are, or parts of them; those used longest ago first."""
        found: dict[Path, float] = {}
        with failing(self.folder):
            for folder in self.folder.glob("??"):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
                    for entry in entries:
                        name = entry.name.removesuffix(MAP)
                        if NAME.fullmatch(name) and name[:2] == folder.name:
                            with contextlib.suppress(FileNotFoundError):
                                found[folder / name] = max(found.get(folder / name, 0.0), entry.stat(follow_symlinks=False).st_mtime)
        return sorted(found, key=found.__getitem__)

    def _opened_mirrors(self, paths: Iterable[Path]) -> Iterator[Mirror]:
        for path in paths:
            number = number_of(path.name)
            mirror = Mirror.found(path, number)
            if mirror is not None:
                yield mirror
                continue
            with contextlib.suppress(OSError), self._locks.holding(number << 32 | HEAD_LOCK, 0.0):
                if Mirror.found(path, number) is None:
                    Mirror(path, 0, 1, 0).remove()

    def info(self) -> CacheInfo:
        """What it takes, and how many processes use it."""
        return CacheInfo(sum(self._ledger.sums()), 1 + len(self._ledger.others()))

    def clear(self) -> int:
        """Removes all mirrors; processes that read them go on, and make them anew when they fetch. Returns bytes freed."""
        before = sum(self._ledger.sums())
        for mirror in self.mirrors():
            self._evict(mirror, ALL, mirror.size)  # others may have it mapped: removing it would free nothing
            self._remove(mirror)
        self._ledger.recount(self.mirrors())
        return max(0, before - sum(self._ledger.sums()))

    # --- fetching ---

    def fill(self, blocks: Sequence[Block], requests: Requests, limit: int | None) -> None:
        """Makes blocks present in their mirrors; they may be evicted again at once, and some may have left theirs. Raises what fetching one failed
        with; MirrorFailed if the cache cannot take it."""
        if self._ledger.slot < 0:
            raise MirrorFailed(f"the cache at {self.folder}: this forked process could not take part in it")
        if not self._locks.is_there():
            raise MirrorFailed(f"the cache at {self.folder}: was removed", gone=True)
        mirrors = {span: span.settled() for span in {block.span for block in blocks}}
        left = {block: mirror for block in blocks if (mirror := mirrors[block.span]) is not None and not block.span.states[block.number]}
        if left:
            self._check_fits(sum(room_for(*block.span.range_of(block.number)) for block in blocks), limit)
        pauses = waiting(FETCH_PATIENCE)
        at_once = AT_ONCE if limit is None else min(AT_ONCE, limit // 8)
        while left:
            part: dict[Block, Mirror] = {}
            size = 0
            claim = Claim(self._locks)
            try:
                for block, mirror in left.items():
                    if size < at_once and claim.take(mirror, block.number) and not block.span.states[block.number]:
                        part[block] = mirror
                        size += block.span.range_of(block.number)[1]
                if part:
                    self._fetch(part, requests, limit, claim)
                    pauses = waiting(FETCH_PATIENCE)
            finally:
                claim.end()
            left = {block: mirror for block, mirror in left.items() if block not in part and not block.span.states[block.number]}
            if left and not part and not next(pauses):
                raise MirrorFailed(f"the cache at {self.folder}: another process has been fetching a block for {FETCH_PATIENCE:g} s")

    def _fetch(self, blocks: dict[Block, Mirror], requests: Requests, limit: int | None, claim: Claim) -> None:
        """Fetches blocks whose locks this call has; raises the first error after all were answered."""
        silent = set(blocks)
        failed: Exception | None = None
        mirrors = {block.span: mirror for block, mirror in blocks.items()}
        room = sum(room_for(*block.span.range_of(block.number)) for block in blocks)
        with self._reserved(room, limit) as stored, contextlib.ExitStack() as stack:
            writers: dict[Span, Writing] = {}
            for span, mirror in mirrors.items():
                writers[span] = stack.enter_context(mirror.writing())
                stored[mirror] = 0

            def put(block: Block, data: Bytes) -> None:
                mirror = mirrors[block.span]
                stored[mirror] += memoryview(data).nbytes
                writers[block.span].write(block.span.range_of(block.number)[0], data)
                if mirror.hashed:
                    mirror.note_hash(block.number, data)

            for block, error, is_right in requests.load(list(blocks), put):
                silent.discard(block)
                if error is None and not is_right:  # nobody else may find it; in memory its good pages can be read, and the others say what is wrong
                    error = MirrorFailed(f"{block}: is damaged in the store", quiet=True)
                if error is None:
                    block.span.show_block(mirrors[block.span], block.number)
                failed = failed or error
                claim.give(mirrors[block.span], block.number)
        self._note_used(stored)
        self._let_go(mirrors, sum(stored.values()))
        if failed is not None:
            raise failed
        if silent:
            raise AtlasError(f"{next(iter(silent))}: was asked for, and neither came nor failed")

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

    @contextlib.contextmanager
    def _reserved(self, size: int, limit: int | None) -> Iterator[dict[Mirror, int]]:
        """With so many bytes reserved; what is yielded takes the bytes that were stored in each mirror. MirrorFailed if there is no room."""
        self._check_fits(size, limit)
        stored: dict[Mirror, int] = {}
        one = Reservation()
        end = time.monotonic() + ROOM_PATIENCE
        pauses = waiting(ROOM_PATIENCE)
        try:
            while size and not self._ledger.reserve(one, size, self.limit_now(limit)):
                if not (self._make_room(size, limit, end) and time.monotonic() < end) and not next(pauses):
                    used, reserved = self._ledger.sums()
                    why = f"no room for {size:,} bytes: {used:,} are in use and {reserved:,} on their way; raise cache_limit"
                    raise MirrorFailed(f"the cache at {self.folder}: {why}")
            yield stored
        finally:
            self._ledger.settle(one, stored)

    def _make_room(self, size: int, limit: int | None, end: float) -> bool:
        """Evicts at least so much, and a little more. Whether anything went; not, if another process evicts."""
        with contextlib.suppress(TimeoutError), self._locks.holding(EVICT_LOCK, 0.0):
            return self._evict_some(size, limit, end)
        return False

    def _evict_some(self, size: int, limit: int | None, end: float) -> bool:
        most = self.limit_now(limit)
        goal = sum(self._ledger.sums()) + size + most // 16 - most
        freed = 0
        paths = self._paths()
        for kinds in (COLD_ONLY, COLD_ONLY, ALL, UNSEEN):
            for mirror in self._opened_mirrors(paths):  # as far as they are needed: each takes a mapping
                if freed >= goal or time.monotonic() > end:
                    return freed > 0
                is_old = time.time() - mirror.last_used > FRESH
                kinds_now = READ if kinds is ALL and not is_old else kinds
                gone = self._evict(mirror, kinds_now, mirror.size if kinds is UNSEEN else goal - freed)
                if gone is None:
                    return freed > 0
                freed += gone
        mine = {span.mirror.path for span in self._spans if span.mirror is not None}
        for mirror in self._opened_mirrors(paths):
            if freed < goal and not mirror.shown().any() and mirror.path not in mine and time.time() - mirror.last_used > UNUSED:
                freed += self._remove(mirror)
        if not freed:
            self._ledger.recount(self.mirrors())
        return freed > 0

    def _evict(self, mirror: Mirror, kinds: npt.NDArray[np.bool_], goal: int) -> int | None:
        """Evicts blocks in some states, up to `goal` bytes or a little more; what was read since the last time is COLD now. Returns bytes freed; None if
        a reader stays inside."""
        count = mirror.count
        if count == 0:
            return 0
        states = mirror.states()
        starts, ends = mirror.blocks()
        shown = mirror.shown()
        chosen = np.flatnonzero(kinds[shown])
        for number in np.flatnonzero(shown == USED).tolist():
            states.age(number)
        chosen = chosen[np.argsort(starts[chosen])]
        chosen = chosen[: 1 + int(np.searchsorted(np.cumsum(ends[chosen] - starts[chosen]), goal))]
        if len(chosen) == 0:
            return 0
        claim = Claim(self._locks)
        try:
            mine = [number for number in chosen.tolist() if claim.take(mirror, number)]
            going = [number for number in mine if states[number]]  # now that nobody else may change them
            for number in going:
                states.clear(number)
            if going and not self._drained():
                for number in going:
                    states.set(number)
                return None
            order = np.argsort(starts, kind="stable")
            is_mine = np.zeros(count, np.bool_)
            is_mine[mine] = True
            for at in edges(is_mine[order]).tolist():  # a page that a block shares with one that nobody has can go, too
                number = int(order[at])
                is_mine[number] = not states[number] and claim.take(mirror, number) and not states[number]
            with mirror.writing() as file:
                for start, stop in holes(starts[order], ends[order], is_mine[order]):
                    file.punch(start, stop)
        except MirrorFailed:  # somebody has removed it
            return 0
        except OSError:  # a file system without holes
            return self._remove(mirror)
        finally:
            claim.end()
        self.evictions += len(going)
        return self._ledger.evicted(mirror)

    def _remove(self, mirror: Mirror) -> int:
        """Removes both files; those who have them open go on, and find them gone when they fetch."""
        with self._head(mirror):
            mirror.remove()
        return self._ledger.evicted(mirror)

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
        while self._asked:
            at = next(iter(self._asked))
            self._locks.give(at, self)
            self._asked.discard(at)

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
