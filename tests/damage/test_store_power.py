"""The power goes at each call of a writer to its store: the old or the new dataset is there, a new one is resumed, parts are merged once.

What a store keeps: a file that was published or put, under its name, and with it the earlier changes of names beside it; of other changes of
names any first few; the bytes of a log up to its last sync, and of the rest any beginning, or zeros.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, verify
from atlas_ds.store.memory import MemoryStore
from support import same

ROWS = [{"i": i, "text": "x" * (i % 7)} for i in range(40)]
OLD, NEW = ROWS[:10], ROWS[10:]
OPTIONS = {"shard_size": 7, "block_size": 4, "workers": 0}
KEPT = ("none", "all", "some", "zeros")
LIMIT = 1 << 30


@dataclass(eq=False)
class Content:
    """The bytes of a file: those that were written, of which the first `safe` are on disk."""

    data: bytes
    safe: int

    def left(self, kept: str, draw: random.Random) -> bytes:
        sure, rest = self.data[: self.safe], self.data[self.safe :]
        return {"none": sure, "all": self.data, "zeros": sure + bytes(len(rest)), "some": sure + rest[: draw.randint(0, len(rest))]}[kept]


class Disk:
    """What is safe of a store, and the states in which it may be after each change."""

    def __init__(self, start: MemoryStore) -> None:
        self.names: dict[str, Content] = {}  # that are safe
        self.pending: list[tuple[str, Content | None]] = []  # changes of names since; None: removed
        self.states: list[dict[str, bytes]] = []
        self.draw = random.Random(5)
        for info in start.list():
            self.names[info.name] = Content(start.read(info.name, limit=LIMIT)[0], info.size)

    def now(self, count: int | None = None) -> dict[str, Content]:
        names = dict(self.names)
        for name, content in self.pending[:count]:
            if content is None:
                names.pop(name, None)
            else:
                names[name] = content
        return names

    def change(self, name: str, content: Content | None) -> None:
        self.pending.append((name, content))
        self.crash()

    def sync_beside(self, name: str) -> None:
        """Earlier changes of names in the same place are safe, too."""
        place = name.rpartition("/")[0]
        beside = [change for change in self.pending if change[0].rpartition("/")[0] == place]
        rest = [change for change in self.pending if change not in beside]
        self.pending = beside
        self.names, self.pending = self.now(), rest
        self.crash()

    def crash(self) -> None:
        for count in {0, len(self.pending), self.draw.randint(0, len(self.pending))}:
            for kept in KEPT:
                self.states.append({name: content.left(kept, self.draw) for name, content in self.now(count).items()})

    def different(self) -> dict[tuple[tuple[str, bytes], ...], int]:
        """Each state, and the number of the last time it was possible."""
        return {tuple(sorted(state.items())): number for number, state in enumerate(self.states)}


class Recorded:
    """A store whose changes are recorded."""

    def __init__(self, inner: MemoryStore, disk: Disk, prefix: str = "") -> None:
        self._inner, self._disk, self._prefix = inner, disk, prefix

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def inside(self, prefix):
        return Recorded(self._inner.inside(prefix), self._disk, f"{self._prefix}{prefix}/")

    def _safe(self, name: str) -> None:
        data = self._inner.read(name, limit=LIMIT)[0]
        self._disk.change(self._prefix + name, Content(data, len(data)))
        self._disk.sync_beside(self._prefix + name)

    def put(self, name, data, **options):
        version = self._inner.put(name, data, **options)
        self._safe(name)
        return version

    def new_file(self, *args):
        file = self._inner.new_file(*args)
        publish = file.publish

        def recorded(name):
            done = publish(name)
            self._safe(name)
            return done

        file.publish = recorded
        return file

    def delete(self, names):
        for name in names:
            self._inner.delete([name])
            self._disk.change(self._prefix + name, None)

    def copy(self, name, to):
        self._inner.copy(name, to)
        self._disk.change(self._prefix + to, self._disk.now()[self._prefix + name])

    def new_log(self, name, *args):
        log = self._inner.new_log(name, *args)
        data, whole = self._inner.read(name, limit=LIMIT)[0], self._prefix + name
        content = Content(data, len(data) if whole in self._disk.now() else 0)
        self._disk.change(whole, content)
        append, sync = log.append, log.sync

        def recorded_append(data):
            append(data)
            content.data += data
            self._disk.crash()

        def recorded_sync():
            sync()
            content.safe = len(content.data)
            self._disk.crash()

        log.append, log.sync = recorded_append, recorded_sync
        return log


def restored(state) -> MemoryStore:
    made = MemoryStore("memory:cut")
    for name, data in state:
        made.put(name, data)
    return made


def write(store, rows, **options):
    with AtlasDatasetWriter(store, **OPTIONS, **options) as writer:
        writer.extend(rows)
    return store


def rows_of(store) -> list:
    assert verify(store, progress=False).damages == []
    return list(AtlasDataset(store))


def seen_by_readers(store) -> dict[str, bytes]:
    return {info.name: store.read(info.name, limit=LIMIT)[0] for info in store.list() if info.name[0] != "."}


@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}], ids=["append", "overwrite"])
def test_the_old_or_the_new_dataset(options):
    start = write(MemoryStore(), OLD)
    disk = Disk(start)
    wanted = OLD + NEW if "append" in options else NEW
    write(Recorded(start, disk), NEW, **options)
    end = len(disk.states)
    disk.crash()
    assert end > 100 and same(rows_of(start), wanted)
    seen = {"old": 0, "new": 0}
    for state, number in disk.different().items():
        rows = rows_of(restored(state))
        assert same(rows, OLD) or same(rows, wanted), f"state {number} of {end}: {len(rows)} rows"
        seen["new" if same(rows, wanted) else "old"] += 1
        if number >= end:
            assert same(rows, wanted), "the writer was closed: nothing may be lost"
    assert seen["old"] > 20 and seen["new"] >= 1


def test_a_new_dataset_is_resumed():
    start, resumed = MemoryStore(), 0
    disk = Disk(start)
    write(Recorded(start, disk), NEW)
    for state in sorted(disk.different(), key=repr):
        left = restored(state)
        if "atlas.json" not in dict(state):
            with AtlasDatasetWriter(left, resume=True, **OPTIONS) as writer:
                resumed += writer.position > 0
                writer.extend(NEW[writer.position :])
        assert seen_by_readers(left) == seen_by_readers(start)
    assert resumed > 20


def test_parts_are_merged_once():
    start = write(MemoryStore(), OLD)
    for number in range(3):
        write(start, NEW[10 * number : 10 * number + 10], part=number)
    disk, seen = Disk(start), {"again": 0, "refused": 0}
    merge_parts(Recorded(start, disk), overwrite=True)
    assert same(rows_of(start), NEW)
    for state, number in disk.different().items():
        left = restored(state)
        published = same(rows_of(left), NEW)
        assert published or same(rows_of(left), OLD)
        try:
            merge_parts(left, overwrite=True)
            seen["again"] += 1
        except (FileNotFoundError, errors.CorruptError):
            assert published, f"state {number}: nothing was published, and the parts are gone"
            seen["refused"] += 1
        assert same(rows_of(left), NEW), f"state {number}: some parts were merged again"
    assert seen["again"] > 5 and seen["refused"] > 5
