"""A writer dies at each of its calls to a store, or the call fails: the store holds the old dataset or the new one, which can be resumed,
and parts that were partly removed are never merged again."""

import errno
import gc
import warnings

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, verify
from atlas_ds.store.memory import MemoryStore
from support import same

ROWS = [{"i": i, "text": "x" * (i % 7)} for i in range(40)]
OLD, NEW = ROWS[:10], ROWS[10:]
OPTIONS = {"shard_size": 7, "block_size": 4, "workers": 0}
LIMIT = 1 << 30


class Killed(BaseException):
    """The process ends here."""


class Life:
    """Counts the changes of a store. "dies": the process ends before number `at`, which is as after the one before, for each is atomic.
    "fails": number `at` is an error and not made. "fails late": it is made, and an error nevertheless."""

    def __init__(self, at: int, mode: str = "dies") -> None:
        self.at, self.mode, self.count = at, mode, 0

    def call(self, change, *args, **options):
        self.count += 1
        if self.mode == "dies" and self.count >= self.at:
            raise Killed
        if self.count == self.at and self.mode == "fails":
            raise OSError(errno.EIO, "the link broke")
        result = change(*args, **options)
        if self.count == self.at:
            raise OSError(errno.EIO, "the link broke")
        return result


class Mortal:
    """A store, a new file or a log, whose changes are those of a process that dies."""

    CHANGES = ("put", "copy", "remove_unfinished", "append", "publish", "remove_if_empty")

    def __init__(self, inner, life: Life) -> None:
        self._inner, self._life = inner, life

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name == "delete":
            return lambda names: [self._life.call(found, [one]) for one in names]
        if name in ("inside", "new_file"):
            return lambda *args, **options: Mortal(found(*args, **options), self._life)
        if name == "new_log":
            return lambda *args, **options: Mortal(self._life.call(found, *args, **options), self._life)
        if name in self.CHANGES:
            return lambda *args, **options: self._life.call(found, *args, **options)
        return found


def copy_of(store: MemoryStore) -> MemoryStore:
    """The same files, none of which a process holds."""
    made = MemoryStore("memory:copy")
    for info in store.list():
        made.put(info.name, store.read(info.name, limit=LIMIT)[0])
    return made


def content(store) -> dict[str, bytes]:
    return {info.name: store.read(info.name, limit=LIMIT)[0] for info in store.list()}


def write(store, rows, **options) -> None:
    with AtlasDatasetWriter(store, **OPTIONS, **options) as writer:
        writer.extend(rows)


def rows_of(store) -> list:
    assert verify(store, progress=False).damages == []
    return list(AtlasDataset(store))


def killed(start: MemoryStore, work):
    """(a store as each death leaves it, whether work had ended), for all deaths, the last one none."""
    for at in range(1, 1000):
        left, life, ended = copy_of(start), Life(at), False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                work(Mortal(left, life))
                found, ended = copy_of(left), True
            except Killed:
                found, life.at = copy_of(left), 1 << 60  # writers that the error holds are collected later; they change what nobody looks at
            gc.collect()
        yield found, ended
        if ended:
            assert at > 5
            return


@pytest.fixture(scope="module", autouse=True)
def quick_collections():
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def written_again(left, options):
    """Writes what a stopped writer left unfinished; whether some of its shards were used."""
    resumed = any(name.startswith(".writing") for name in content(left))
    with AtlasDatasetWriter(left, **OPTIONS, **({"resume": True} if resumed else options)) as writer:
        position = writer.position
        writer.extend(NEW[position:])
    return position > 0


@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}], ids=["append", "overwrite"])
def test_the_old_or_the_new_dataset(options):
    start = MemoryStore()
    write(start, OLD)
    wanted = OLD + NEW if "append" in options else NEW
    seen = {"old": 0, "new": 0, "resumed": 0}
    for left, ended in killed(start, lambda store: write(store, NEW, **options)):
        rows = rows_of(left)
        new = same(rows, wanted)
        assert new or (same(rows, OLD) and not ended)
        seen["new" if new else "old"] += 1
        if not new:
            seen["resumed"] += written_again(left, options)
            assert same(rows_of(left), wanted)
    assert seen["old"] > 10 and seen["new"] >= 1 and seen["resumed"] > 5


def test_a_new_dataset_is_resumed_to_the_same_bytes():
    whole, resumed = MemoryStore(), 0
    write(whole, NEW)
    for left, ended in killed(MemoryStore(), lambda store: write(store, NEW)):
        if "atlas.json" not in content(left):
            assert not ended
            with AtlasDatasetWriter(left, resume=True, **OPTIONS) as writer:
                resumed += writer.position > 0
                writer.extend(NEW[writer.position :])
        assert {name: data for name, data in content(left).items() if name[0] != "."} == content(whole)
    assert resumed > 5


def parts(count: int) -> MemoryStore:
    made = MemoryStore()
    for number in range(count):
        write(made, NEW[10 * number : 10 * number + 10], part=number)
    return made


@pytest.mark.parametrize("old", [False, True], ids=["new", "overwrite"])
def test_parts_are_merged_once(old):
    start, seen = parts(3), {"merged": 0, "again": 0, "refused": 0}
    if old:
        write(start, OLD, overwrite=True)
    for left, ended in killed(start, lambda store: merge_parts(store, overwrite=True)):
        published = same(rows_of(left), NEW) if "atlas.json" in content(left) else False
        if not published:
            assert not ended and ("atlas.json" in content(left)) == old
        try:
            merge_parts(left, overwrite=True)
            seen["again"] += 1
        except (FileNotFoundError, errors.CorruptError):
            assert published, "nothing was published, and the parts are gone"
            seen["refused"] += 1
        assert same(rows_of(left), NEW)
        assert not content(left.inside(".parts"))
        if ended:
            assert set(content(left)) == {"atlas.json", *(shard.path for shard in AtlasDataset(left).shards)}
            seen["merged"] += ended
    assert seen["merged"] == 1 and seen["again"] > 3 and seen["refused"] > 0


def test_parts_that_are_written_again_after_a_merge_that_died():
    """Their remains are no part of what is merged then."""
    for left, _ in killed(parts(3), merge_parts):
        if "atlas.json" not in content(left):
            continue
        schema, again = AtlasDataset(left).schema, left.inside(".parts")
        for number in range(3):
            exists = f"{number:05d}/atlas.json" in content(again)
            write(left, NEW[number : number + 1], part=number, schema=schema, overwrite=exists)
        merge_parts(left, overwrite=True)
        assert same(rows_of(left), NEW[:3])
        assert set(content(left)) == {"atlas.json", *(shard.path for shard in AtlasDataset(left).shards)}


def test_one_part_that_is_written_again_after_a_merge_that_died():
    """It is merged alone: what is left of the others was merged before."""
    start, seen = parts(3), 0
    for left, _ in killed(start, merge_parts):
        inner = content(left.inside(".parts"))
        if "atlas.json" in content(left) and inner != content(start.inside(".parts")):
            write(left, NEW[:1], part=0, schema=AtlasDataset(left).schema, overwrite="00000/atlas.json" in inner)
            merge_parts(left, overwrite=True)
            assert same(rows_of(left), NEW[:1])
            seen += 1
    assert seen > 5


def failed(start: MemoryStore, work, mode: str):
    """(the store after a call failed, whether work ended well), for each call."""
    for at in range(1, 1000):
        left = copy_of(start)
        life, ended = Life(at, mode), False
        try:
            work(Mortal(left, life))
            ended = True
        except OSError as error:
            assert "the link broke" in str(error)
        gc.collect()
        if life.count < at:
            assert at > 5
            return
        yield left, ended


@pytest.mark.parametrize("mode", ["fails", "fails late"])
@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}, {}], ids=["append", "overwrite", "create"])
def test_a_call_that_fails(options, mode):
    start = MemoryStore()
    if options:
        write(start, OLD)
    wanted, seen = OLD + NEW if "append" in options else NEW, {"old": 0, "new": 0, "resumed": 0}
    for left, ended in failed(start, lambda store: write(store, NEW, **options), mode):
        rows = rows_of(left) if "atlas.json" in content(left) else []
        new = same(rows, wanted)
        assert new or (not ended and same(rows, OLD if options else []))
        seen["new" if new else "old"] += 1
        if not new:
            seen["resumed"] += written_again(left, options)
            assert same(rows_of(left), wanted)
    assert seen["old"] > 5 and seen["resumed"] > 3


@pytest.mark.parametrize("mode", ["fails", "fails late"])
def test_a_call_of_a_merge_that_fails(mode):
    for left, ended in failed(parts(3), merge_parts, mode):
        published = "atlas.json" in content(left)
        assert published >= ended
        try:
            merge_parts(left, overwrite=True)
        except FileNotFoundError:
            assert published
        assert same(rows_of(left), NEW) and not content(left.inside(".parts"))
