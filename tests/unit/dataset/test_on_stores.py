"""A dataset in a Store: what is written to a MemoryStore has the bytes that a folder would have; writers that no lock keeps apart."""

import contextlib
from pathlib import Path

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, repair, shuffle, verify
from atlas_ds.store.local import LocalStore
from atlas_ds.store.memory import MemoryStore
from support import same

ROWS = [{"x": i, "s": "text" * (i % 7)} for i in range(60)]
OPTIONS = {"shard_size": 10, "block_size": 4, "workers": 0}
KNOWN = OPTIONS | {"schema": {"x": "int64", "s": "str"}}  # so that rows are written as soon as they are added


def content(place) -> dict[str, bytes]:
    """All that readers see."""
    store = LocalStore(place) if isinstance(place, Path) else place
    return {info.name: store.read(info.name, limit=1 << 30)[0] for info in store.list()}


def write(place, rows, **options):
    with AtlasDatasetWriter(place, **OPTIONS | options) as writer:
        writer.extend(rows)
    return place


@pytest.fixture(params=["memory", "local"])
def store(request, tmp_path):
    return MemoryStore("memory:d") if request.param == "memory" else LocalStore(tmp_path / "store")


def rows_of(store):
    report = verify(store, progress=False)
    assert report.damages == [] and report.rows == len(AtlasDataset(store))
    return list(AtlasDataset(store))


def test_the_bytes_are_those_of_a_folder(tmp_path, store):
    write(store, ROWS)
    assert content(store) == content(write(tmp_path / "d", ROWS)) and rows_of(store) == ROWS
    write(store, ROWS[:15], append=True)
    assert content(store) == content(write(tmp_path / "d", ROWS[:15], append=True)) and rows_of(store) == ROWS + ROWS[:15]
    write(store, ROWS[:5], overwrite=True, metadata={"a": 1})
    assert content(store) == content(write(tmp_path / "d", ROWS[:5], overwrite=True, metadata={"a": 1})) and rows_of(store) == ROWS[:5]


def test_a_dataset_that_exists(store):
    write(store, ROWS)
    with pytest.raises(FileExistsError, match=r"a dataset already exists; pass append=True"):
        write(store, ROWS)


def test_other_files(store):
    store.create()
    store.put("notes.txt", b"")
    with pytest.raises(FileExistsError, match="has other files and no dataset"):
        write(store, ROWS)
    store.delete(["notes.txt"])
    store.put("more/notes.txt", b"")
    with pytest.raises(FileExistsError, match="has other files and no dataset"):
        write(store, ROWS)
    assert set(content(store)) == {"more/notes.txt"}


def test_an_error_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError), AtlasDatasetWriter(store, **OPTIONS) as writer:
        writer.extend(ROWS)
        raise ZeroDivisionError
    assert content(store) == {}
    assert store.folder is None or not store.folder.exists()


def test_resume(tmp_path, store):
    writer = AtlasDatasetWriter(store, **KNOWN)
    writer.extend(ROWS[:37])
    with pytest.raises(errors.WriterBusy, match=r"another writer is active here: .*\(this process\)"):
        AtlasDatasetWriter(store, resume=True, **KNOWN)
    with pytest.warns(ResourceWarning, match=r"(memory:d|store): a writer was never closed.*30 rows"):
        del writer
    with AtlasDatasetWriter(store, resume=True, **KNOWN) as writer:
        assert writer.position == 30
        writer.extend(ROWS[30:])
    assert content(store) == content(write(tmp_path / "d", ROWS))


def test_resume_before_a_damaged_shard(tmp_path, store):
    writer = AtlasDatasetWriter(store, **KNOWN)
    writer.extend(ROWS[:37])
    writer._output.journal.leave()
    writer._end("closed")
    name = next(name for name in content(store) if name.startswith("00001-"))
    data = bytearray(content(store)[name])
    data[len(data) // 2] ^= 1
    store.put(name, data)
    with pytest.warns(RuntimeWarning, match="resuming before a finished shard that is missing or damaged"):
        writer = AtlasDatasetWriter(store, resume=True, **KNOWN)
    assert writer.position == 10
    writer.extend(ROWS[10:])
    writer.close()
    assert content(store) == content(write(tmp_path / "d", ROWS))


def test_parts(tmp_path, store):
    for number in range(3):
        write(store, ROWS[20 * number : 20 * number + 20], part=number)
        write(tmp_path / "d", ROWS[20 * number : 20 * number + 20], part=number)
    with pytest.raises(FileNotFoundError, match="of parts 0 to 3 these are missing: 3"):
        merge_parts(store, count=4)
    merge_parts(store)
    merge_parts(tmp_path / "d")
    assert content(store) == content(tmp_path / "d") and rows_of(store) == ROWS
    with pytest.raises(FileNotFoundError, match="no parts found"):
        merge_parts(store, overwrite=True)


def test_parts_that_are_not_finished(store):
    write(store, ROWS[:20], part=0)
    writer = AtlasDatasetWriter(store, part=1, **KNOWN)
    writer.extend(ROWS[20:55])
    with pytest.raises(errors.WriterBusy):
        merge_parts(store)
    writer._output.journal.leave()
    writer._end("closed")
    with pytest.raises(FileNotFoundError, match=r"/\.parts/00001: this part was never finished"):
        merge_parts(store)
    with AtlasDatasetWriter(store, part=1, resume=True, **KNOWN) as writer:
        writer.extend(ROWS[20 + writer.position :])
    merge_parts(store)
    assert rows_of(store) == ROWS


def test_icc_and_splits(tmp_path, store):
    for place in (store, tmp_path / "d"):
        with AtlasDatasetWriter(place, icc=["x"], **OPTIONS) as writer:
            writer.extend(ROWS[:30], split="a")
            writer.extend(ROWS[30:], split="b")
    assert content(store) == content(tmp_path / "d")


def test_verify_names_what_is_damaged(store):
    write(store, ROWS)
    name = next(name for name in content(store) if name.startswith("00002-"))
    store.put(name, content(store)[name][:-1])
    gone = next(name for name in content(store) if name.startswith("00003-"))
    store.delete([gone])
    for fast in (True, False):
        report = verify(store, fast=fast, progress=False)
        assert [where.rpartition("/")[2] for where, _ in report.damages] == [name, gone] and report.shards == 6 and report.rows == 40
    store.put("atlas.json", content(store)["atlas.json"].replace(b'"rows":60', b'"rows":61'))
    assert [where.rpartition("/")[2] for where, _ in verify(store, progress=False).damages] == ["atlas.json"]


def test_no_dataset(store):
    store.create()
    for call in (verify, AtlasDataset):
        with pytest.raises(errors.NotADataset, match=r"not an Atlas dataset: atlas\.json not found"):
            call(store)


def test_repair(tmp_path, store):
    write(store, ROWS)
    name = next(name for name in content(store) if name.startswith("00002-"))
    store.put(name, content(store)[name][:-20])
    target = MemoryStore("memory:repaired")
    report = repair(store, output=target, progress=False)
    kept = rows_of(target)
    assert report.rows_kept == len(kept) >= 50 and [reason == "intact" for _, _, _, reason in report.shards] == [True, True, False, True, True, True]
    assert all(row in ROWS for row in kept) and set(content(store)) >= {name}
    again = repair(store, output=tmp_path / "out", progress=False)
    assert again.rows_kept == report.rows_kept and content(tmp_path / "out") == content(target)


def test_repair_without_a_manifest_and_with_splits(store):
    with AtlasDatasetWriter(store, **OPTIONS) as writer:
        writer.extend(ROWS[:30], split="a")
        writer.extend(ROWS[30:], split="b")
    target = MemoryStore("memory:repaired")
    repair(store, output=target, progress=False)
    assert AtlasDataset(target).splits == AtlasDataset(store).splits
    store.delete(["atlas.json"])
    other = MemoryStore("memory:other")
    assert repair(store, output=other, progress=False).rows_kept == 60 and rows_of(other) == ROWS


def test_repair_needs_a_place(store):
    write(store, ROWS)
    if store.folder is None:
        with pytest.raises(ValueError, match="output"):
            repair(store, progress=False)
    else:
        repair(store, progress=False)
        assert list(AtlasDataset(Path(f"{store.folder}-repaired"))) == ROWS


@pytest.mark.parametrize("memory", ["1MiB", "1GiB"])
def test_shuffle(tmp_path, store, memory):
    rows = [{"x": i, "s": "text" * 200} for i in range(2000)]
    write(store, rows, shard_size=500)
    target = MemoryStore("memory:shuffled")
    shuffle(store, target, seed=3, memory=memory, progress=False, workers=0)
    shuffle(write(tmp_path / "d", rows, shard_size=500), tmp_path / "out", seed=3, memory=memory, progress=False, workers=0)
    assert content(target) == content(tmp_path / "out") and sorted(row["x"] for row in rows_of(target)) == list(range(2000))


def test_shuffle_onto_itself(store):
    write(store, ROWS)
    with pytest.raises(errors.AtlasError, match="source and destination are the same"):
        shuffle(store, store, progress=False, overwrite=True)


# --- stores without locks ---


class Free:
    """A store that keeps no writer out and cannot tell whether a log is held, as object stores. before: called before a manifest is put."""

    def __init__(self, inner, before=lambda: None):
        self._inner, self.before, self.conflicts = inner, before, 0

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def lock(self):
        return contextlib.nullcontext()

    def is_held(self, name):
        self._inner.info(name)

    def inside(self, prefix):
        return Free(self._inner.inside(prefix))

    def put(self, name, data, **options):
        if name == "atlas.json":
            self.before()
        try:
            return self._inner.put(name, data, **options)
        except errors.CommitConflict:
            self.conflicts += 1
            raise


def others(inner, times, rows=({"x": -1, "s": ""},)):
    """A function that appends to the dataset, so often; as another process would."""
    left = iter(range(times))

    def append():
        if next(left, None) is not None:
            write(inner, rows, append=True)

    return append


@pytest.mark.parametrize("times", [1, 3, 9])
def test_an_append_that_loses_is_rebased(times):
    inner = MemoryStore("memory:d")
    write(inner, ROWS[:20])
    store = Free(inner, others(inner, times))
    write(store, ROWS[20:45], append=True)
    assert rows_of(inner) == [*ROWS[:20], *[{"x": -1, "s": ""}] * times, *ROWS[20:45]] and store.conflicts == times
    assert not [name for name in content(inner) if name.startswith(".writing")]


def test_an_append_that_always_loses_gives_up():
    inner = MemoryStore("memory:d")
    write(inner, ROWS[:20])
    store = Free(inner, others(inner, 1000))
    with pytest.raises(errors.CommitConflict, match="resume=True"):
        write(store, ROWS[20:45], append=True)
    assert store.conflicts == 11 and len(rows_of(inner)) == 31
    assert [name for name in content(inner) if name.startswith(".writing")], "its finished shards are kept"


def test_an_overwrite_that_loses():
    inner = MemoryStore("memory:d")
    write(inner, ROWS[:20])
    store = Free(inner)
    writer = AtlasDatasetWriter(store, overwrite=True, **OPTIONS)
    writer.extend(ROWS[20:45])
    version = inner.info("atlas.json").version
    store.before = lambda: inner.put("atlas.json", content(inner)["atlas.json"])
    with pytest.raises(errors.CommitConflict, match=r"memory:d/atlas\.json"):
        writer.close()
    assert inner.info("atlas.json").version != version and rows_of(inner) == ROWS[:20]


def test_a_new_dataset_that_loses():
    inner = MemoryStore("memory:d")
    store = Free(inner)
    writer = AtlasDatasetWriter(store, **OPTIONS)
    writer.extend(ROWS[20:45])
    other = MemoryStore()
    write(other, ROWS[:5])
    store.before = lambda: [inner.put(name, data) for name, data in content(other).items()]
    with pytest.raises(errors.CommitConflict):
        writer.close()
    assert rows_of(inner) == ROWS[:5]


def test_a_loser_with_other_columns():
    inner = MemoryStore("memory:d")
    write(inner, [], schema={"x": "int64", "s": "str"})
    store = Free(inner)
    writer = AtlasDatasetWriter(store, append=True, **OPTIONS)
    writer.extend(ROWS[:25])
    other = MemoryStore()
    write(other, [{"y": 1.0}])
    store.before = lambda: [inner.put(name, data) for name, data in content(other).items()]
    with pytest.raises(errors.CommitConflict, match="with other columns"):
        writer.close()
    assert rows_of(inner) == [{"y": 1.0}]


def test_a_put_that_was_made_though_it_failed():
    """The link broke after the manifest was replaced: the rows are there once, and their shards are kept."""
    inner = MemoryStore("memory:d")
    write(inner, ROWS[:20])

    class Broken(Free):
        def put(self, name, data, **options):
            super().put(name, data, **options)
            raise OSError(5, "the link broke")

    with pytest.raises(OSError, match="the link broke"):
        write(Broken(inner), ROWS[20:45], append=True)
    assert rows_of(inner) == ROWS[:45]
    write(inner, ROWS[45:], append=True)
    assert rows_of(inner) == ROWS


def test_repair_that_loses():
    inner = MemoryStore("memory:d")
    with AtlasDatasetWriter(inner, **OPTIONS) as writer:
        writer.extend(ROWS, split="a")
    target = MemoryStore("memory:out")
    calls = []

    def meanwhile():
        calls.append(1)
        if len(calls) == 2:
            target.put("atlas.json", content(target)["atlas.json"])

    with pytest.raises(errors.CommitConflict, match="another writer published while this one was writing"):
        repair(inner, output=Free(target, meanwhile), progress=False)
    assert same(rows_of(target), ROWS)


def test_two_that_append_the_same_rows_and_do_not_see_each_other():
    """A store may list a journal late: both then give their equal shards one name, which no manifest may have twice."""
    inner = MemoryStore("memory:d")
    write(inner, ROWS[:20])

    class Blind(Free):
        def entries(self):
            return (name for name in self._inner.entries() if not name.startswith(".writing"))

    one, two = (AtlasDatasetWriter(Blind(inner), append=True, **OPTIONS) for _ in range(2))
    for writer in (one, two):
        writer.extend(ROWS[20:45])
    one.close()
    with pytest.raises(errors.CommitConflict, match="has published shards of the same names"):
        two.close()
    assert rows_of(inner) == ROWS[:45]
    write(inner, ROWS[45:], append=True)
    assert rows_of(inner)[-15:] == ROWS[45:]
