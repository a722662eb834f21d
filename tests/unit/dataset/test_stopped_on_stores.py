"""Writers that meet, stop and are killed in a store that is no folder, with a lock and without one; parts whose merging is killed."""

import contextlib
import json
import threading

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, concat, errors, merge_parts, repair, shuffle, verify
from atlas_ds.dataset import parts
from atlas_ds.rewrite.repair import find_files
from atlas_ds.store.local import LocalStore
from atlas_ds.store.memory import MemoryStore
from attacks.folders.hostile import sealed
from stores import SlowStore
from support import write

PLAIN = {"schema": int, "shard_size": 10, "workers": 0}


class Lockless(MemoryStore):
    """As an object store is: before_put is called where another writer could be faster."""

    before_put = staticmethod(lambda name: None)

    def lock(self):
        return contextlib.nullcontext()

    def put(self, name, data, **options):
        self.before_put(name)
        return super().put(name, data, **options)

    def sees_every_holder(self):
        return False


@pytest.fixture(params=[MemoryStore, Lockless])
def store(request):
    return request.param("memory:d")


def content(store):
    """name -> bytes of all files."""
    return {info.name: store.read(info.name, limit=1 << 30)[0] for info in store.list()}


def stop(store, rows=25, **options):
    """A writer that fails after it has finished some shards."""
    writer = AtlasDatasetWriter(store, **PLAIN | options)
    writer.extend(range(rows))
    writer._stop()
    writer._output.journal.leave()
    writer._end("failed")


# --- writing ---


def test_append_and_overwrite(store):
    write(store, range(15), **PLAIN, icc=["value"])
    write(store, range(15, 40), **PLAIN, append=True)
    assert list(AtlasDataset(store)) == list(range(40)) and verify(store).damages == [] and list(AtlasDataset(store).icc) == ["value"]
    write(store, [7], **PLAIN, overwrite=True)
    assert list(AtlasDataset(store)) == [7] and len(content(store)) == 2


def test_one_writer_at_a_time(store):
    one = AtlasDatasetWriter(store, **PLAIN)
    with pytest.raises(errors.WriterBusy, match=r"memory:d: another writer is active here: process .* \(this process\)"):
        AtlasDatasetWriter(store, **PLAIN)
    one.abort()
    AtlasDatasetWriter(store, **PLAIN).abort()


def test_what_a_stopped_writer_left_is_removed(store):
    write(store, range(5), **PLAIN)
    before = content(store)
    stop(store, overwrite=True)
    assert len(content(store)) > len(before)
    AtlasDatasetWriter(store, **PLAIN, overwrite=True).abort()
    assert content(store) == before


def test_a_shard_that_was_removed_meanwhile(store):
    writer = AtlasDatasetWriter(store, **PLAIN)
    writer.extend(range(25))
    store.delete([min(name for name in content(store) if name.endswith(".atlas"))])
    with pytest.raises(errors.DatasetChanged, match=r"memory:d/00000-.*: this finished shard was removed"):
        writer.close()


# --- writers that meet ---


def test_appenders_together(store):
    write(store, range(5), **PLAIN)
    ones = [AtlasDatasetWriter(store, **PLAIN, append=True) for _ in range(4)]
    for k, one in enumerate(ones):
        one.extend(range(100 * k, 100 * k + 25))
    ones[1].abort()
    for k in (3, 0, 2):
        ones[k].close()
    assert list(AtlasDataset(store)) == [*range(5), *(100 * k + i for k in (3, 0, 2) for i in range(25))]
    assert verify(store).damages == [] and not [name for name in content(store) if name.startswith(".")]


def faster(store, times, publish):
    """Another writer publishes, each time, between the look of a writer and its put."""
    left = [times]

    def before_put(name):
        if name == "atlas.json" and left[0]:
            left[0] -= 1
            store.before_put = lambda name: None
            publish(left[0])
            store.before_put = before_put

    store.before_put = before_put
    return left


@pytest.mark.parametrize("how", ["resume", "gone"])
def test_others_that_lose_say_so(how):
    store, other = Lockless("memory:d"), write(MemoryStore(), [1], **PLAIN)
    write(store, range(5), **PLAIN)
    if how == "resume":
        stop(store, append=True)
    writer = AtlasDatasetWriter(store, **PLAIN, **{"append": True} if how == "gone" else {"resume": True})
    writer.extend(range(writer.position, 25))

    def publish(k):
        if how == "gone":
            store.delete(["atlas.json"])
        else:
            for name, data in content(other).items():
                store.put(name, data)

    faster(store, 1, publish)
    with pytest.raises(errors.CommitConflict, match={"gone": "removed the dataset"}.get(how, "published a dataset here")):
        writer.close()
    if how != "gone":
        assert list(AtlasDataset(store)) == [1], "nothing of the loser is seen"


def test_threads_that_append_without_a_lock():
    store = Lockless("memory:d")
    write(store, range(5), **PLAIN)
    barrier, failed = threading.Barrier(8), []

    def work(k):
        barrier.wait()
        try:
            with AtlasDatasetWriter(store, **PLAIN, append=True) as writer:
                writer.extend(range(1000 * k, 1000 * k + 25))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 9)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    rows = list(AtlasDataset(store))
    assert failed == [] and rows[:5] == list(range(5)) and verify(store).damages == []
    runs = [rows[start : start + 25] for start in range(5, len(rows), 25)]
    assert sorted(runs) == [list(range(1000 * k, 1000 * k + 25)) for k in range(1, 9)]


# --- parts ---


def make_parts(store, count=3):
    for k in range(count):
        write(store, range(10 * k, 10 * k + 10), part=k, **PLAIN | {"shard_size": 4})


class Killed(BaseException):
    """The process ends here."""


def kill_at(monkeypatch, store, number):
    """The process ends before its number-th change of the files. Returns how many there were."""
    count = [0]
    files = type(store)

    def wrap(call):
        def changed(self, *args, **options):
            count[0] += 1
            if count[0] == number:
                raise Killed
            return call(self, *args, **options)

        return changed

    def delete(self, names):
        for name in names:
            self.delete_one(name)

    real = files.delete
    monkeypatch.setattr(files, "delete_one", wrap(lambda self, name: real(self, [name])), raising=False)
    monkeypatch.setattr(files, "delete", delete)
    for name in ("put", "copy"):
        monkeypatch.setattr(files, name, wrap(getattr(files, name)))
    return count


@pytest.mark.parametrize("place", [MemoryStore, LocalStore])
def test_a_merge_that_is_killed_anywhere(tmp_path, monkeypatch, place):
    """Parts are merged again as a whole, or not at all; and new ones of the same numbers are merged without the old."""

    def fresh(number):
        store = place(tmp_path / str(number)) if place is LocalStore else place()
        store.create()
        write(store, [99], **PLAIN)
        make_parts(store)
        return store

    with monkeypatch.context() as patch:
        count = kill_at(patch, store := fresh(0), -1)
        merge_parts(store, overwrite=True)
    assert count[0] > 20
    published = []
    for number in range(1, count[0] + 1):
        store = fresh(number)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            kill_at(patch, store, number)
            merge_parts(store, overwrite=True)
        rows = list(AtlasDataset(store))
        assert verify(store).damages == [] and rows in ([99], list(range(30))), number
        published.append(rows != [99])
        try:
            merge_parts(store, overwrite=True)
        except FileNotFoundError as error:
            assert "no parts found" in str(error) and published[-1], number
        assert list(AtlasDataset(store)) == list(range(30)), number
        write(store, [1], part=0, **PLAIN)
        merge_parts(store, overwrite=True)
        assert list(AtlasDataset(store)) == [1] and not [info.name for info in store.list() if info.name.startswith(".parts")], number
    assert published == sorted(published) and True in published


def test_a_part_that_is_written_after_a_killed_merge(monkeypatch):
    """It has the number of one that is half removed, whose rest goes first."""
    store = MemoryStore("memory:d")
    make_parts(store)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(parts, "remove_part", lambda part: (_ for _ in ()).throw(Killed))
        merge_parts(store)
    assert store.is_plain(".parts/merged.json") and store.is_plain(".parts/00002/atlas.json")
    write(store, [7], part=2, **PLAIN)
    assert [name for name in content(store) if name.startswith(".parts")] == [name for name in content(store) if name.startswith(".parts/00002/")]
    with pytest.raises(FileNotFoundError, match="these are missing: 0, 1"):
        merge_parts(store, overwrite=True)


def test_a_list_of_merged_parts_that_nobody_wrote(store):
    make_parts(store)
    for data in (b"[]", b'{"00000": 5}', b'{"../x": "y"}', b"\xff", b"[" * 100_000):
        store.put(".parts/merged.json", data)
        with pytest.raises(errors.CorruptError, match=r"memory:d/.parts/merged\.json: is not the list of merged parts"):
            merge_parts(store)
    store.put(".parts/merged.json", json.dumps({"00000": "0" * 32}).encode())  # another part than the one that is there
    merge_parts(store)
    assert list(AtlasDataset(store)) == list(range(30))


# --- repair ---


def test_repair_of_a_truncated_shard(store):
    write(store, range(1000), schema=int, block_size=10)
    (name,) = (name for name in content(store) if name.endswith(".atlas"))
    store.put(name, content(store)[name][: len(content(store)[name]) // 2])
    report = repair(store, output=MemoryStore("memory:repaired"))
    assert 0 < report.rows_kept < 1000 and report.rows_kept % 10 == 0


@pytest.mark.parametrize("place", [MemoryStore, LocalStore])
def test_repair_reads_what_was_never_finished(tmp_path, place):
    """Without a manifest: files in the order of their numbers, finished or not."""
    store = place() if place is MemoryStore else place(tmp_path)
    made = ["00002-0123456789abcdef.atlas", ".tmp-00001-token-0", "00000-0123456789abcdef.atlas"]
    for name in [*made, "atlas.json", "notes.txt"]:
        if name == ".tmp-00001-token-0":
            unfinished = store.new_file("00001", "token")
        else:
            store.put(name, b"x")
    journal = store.new_file("journal", "token")
    assert find_files(store, None, trusted=False) == made[::-1]
    unfinished.discard()
    journal.discard()




class SendsAgain(MemoryStore):
    """Loses the answer of the next put of a manifest that expects something. again: the client sends it once more; else it gives up."""

    armed = again = False

    def put(self, name, data, **options):
        version = super().put(name, data, **options)
        if self.armed and name == "atlas.json" and "expected" in options:
            self.armed = False
            if self.again:
                return super().put(name, data, **options)
            raise OSError(5, "the connection was reset", name)
        return version


@pytest.mark.parametrize("options", [{}, {"append": True}, {"overwrite": True}], ids=str)
def test_an_answer_that_was_lost(options):
    """What was published is not written again: a client that sends a request again conflicts with itself."""
    for again in (True, False):
        store = SendsAgain("memory:d")
        if options:
            write(store, range(-15, 0), **PLAIN)
        store.armed, store.again = True, again
        with contextlib.nullcontext() if again else pytest.raises(OSError, match=r"reset; the rows are published: check memory:d, and do not write them again"):
            write(store, range(25), **PLAIN | options)
        assert list(AtlasDataset(store)) == list(range(-15 if "append" in options else 0, 25)) and verify(store).damages == []
        named = {info.path for info in AtlasDataset(store).shards}
        assert not [name for name in content(store) if "journal" in name]
        if again:
            assert {name for name in content(store) if name.endswith(".atlas")} == named


def test_verify_compares_what_shards_add_up_to():
    store = write(MemoryStore("memory:d"), range(3000), **PLAIN | {"shard_size": 1000}, icc=["value"])
    good = store.read("atlas.json", limit=1 << 30)[0]
    for member, wrong in (("icc", {"value": 0.123}), ("stats", None), ("icc_sums", None)):
        body = json.loads(good)
        if member == "stats":
            body["stats"]["columns"][0]["raw_bytes"] += 7
        elif member == "icc_sums":
            body["icc_sums"]["value"]["rows"] += 5
        else:
            body["icc"] = wrong
        store.put("atlas.json", sealed(json.dumps(body).encode()))
        report = verify(store)
        assert [where for where, _ in report.damages] == ["memory:d/atlas.json"] and member in report.damages[0][1] and "was edited" in report.damages[0][1]
    store.put("atlas.json", good)
    assert verify(store).damages == [] and verify(store, fast=True).damages == []


def test_a_store_is_never_its_own_target():
    root = MemoryStore("memory:root")
    write(root.inside("d"), range(30), **PLAIN)
    with pytest.raises(errors.AtlasError, match="source and destination are the same"):
        shuffle(root.inside("d"), root.inside("d"), overwrite=True)
    with pytest.raises(errors.AtlasError, match="is the damaged dataset itself"):
        repair(root.inside("d"), output=root.inside("d"))


def test_stats_of_several_memories():
    one, two = (AtlasDataset(write(MemoryStore(), range(count), **PLAIN)) for count in (30, 7))
    assert concat([one, two]).stats()["rows"] == 37


def test_opening_many_shards_stays_below_the_limit_of_requests():
    inner = MemoryStore("memory:d")
    write(inner, range(600), **PLAIN | {"shard_size": 1})
    store = SlowStore(inner, 0.02)
    assert AtlasDataset(store).batch(range(600)).tolist() == list(range(600)) and store.most <= 256


def test_a_store_that_does_not_answer():
    inner = MemoryStore("memory:d")
    write(inner, range(30), **PLAIN)

    class Silent(MemoryStore):
        def read_ranges(self, wants):
            return ((number, answer) for number, answer in super().read_ranges(wants) if number % 2)

    store = Silent("memory:silent")
    store._shared = inner._shared
    with pytest.raises(errors.AtlasError, match=r"bytes were asked for, and the store never answered"):
        AtlasDataset(store)[0]
