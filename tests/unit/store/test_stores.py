"""What LocalStore and MemoryStore have in common: names, versions, conditional puts, logs, places inside of a place."""

import threading

import pytest

from atlas_ds.errors import CommitConflict, DatasetChanged, LimitError
from atlas_ds.store.local import LocalStore
from atlas_ds.store.memory import MemoryStore
from atlas_ds.store.opening import is_store, open_store
from atlas_ds.store.store import Want


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    made = LocalStore(tmp_path / "s") if request.param == "local" else MemoryStore("memory:s")
    assert made.create() is True and made.create() is False
    return made


def names(store, prefix=""):
    return [info.name for info in store.list(prefix)]


def ranges(store, *wants):
    return {number: found if isinstance(found, Exception) else bytes(found) for number, found in store.read_ranges(wants)}


def test_a_file_that_is_put(store):
    version = store.put("x", b"abc")
    assert store.info("x") == ("x", 3, version) and store.read("x", limit=3) == (b"abc", version)
    assert store.read_tail("x", 2) == (b"bc", ("x", 3, version)) and store.read_tail("x", 9)[0] == b"abc"
    with store.stream("x") as file:
        assert file.read() == b"abc"
    assert names(store) == ["x"]


def test_a_new_file_has_no_name_until_it_is_published(store):
    file = store.new_file("label")
    file.write(b"ab")
    file.write(memoryview(b"cd"))
    file.finish()
    assert file.size == 4 and names(store) == [] == list(store.entries())
    info = file.publish("x").result()
    assert info == store.info("x") and store.read("x", limit=10)[0] == b"abcd"
    file.discard()
    assert names(store) == ["x"]
    with pytest.raises(ValueError, match="is already published"):
        file.write(b"x")


def test_a_file_that_is_discarded(store):
    file = store.new_file("label", "mark")
    file.write(b"ab")
    file.discard()
    file.discard()
    assert names(store) == []
    with pytest.raises(ValueError, match="is already discarded"):
        file.publish("x")


def test_what_does_not_exist(store):
    for call in (lambda: store.info("x"), lambda: store.read("x", limit=1), lambda: store.read_tail("x", 1), lambda: store.stream("x"), lambda: store.is_held("x", near=True), lambda: store.copy("x", "y")):
        with pytest.raises(FileNotFoundError, match="x"):
            call()
    assert isinstance(ranges(store, Want("x", 0, 1))[0], FileNotFoundError)
    store.delete(["x", "a/b"])
    store.remove_unfinished("mark")
    assert names(store) == []


@pytest.mark.parametrize("name", ["", "/x", "a//b", "..", "a/../../x", ".", "a/"])
def test_names_that_lead_out(store, name):
    for call in (store.info, lambda name: store.put(name, b""), lambda name: store.delete([name]), store.inside, lambda name: store.new_log(name, b"", "m")):
        with pytest.raises(ValueError, match="is not the name of a file"):
            call(name)


def test_a_file_larger_than_was_allowed(store):
    store.put("x", b"abc")
    with pytest.raises(LimitError, match="has 3 bytes, and at most 2 are read"):
        store.read("x", limit=2)


def test_every_put_is_another_version(store):
    versions = [store.put("x", b"abc") for _ in range(200)]
    assert len(set(versions)) == 200 and store.info("x").version == versions[-1]


def test_a_published_file_is_another_version(store):
    old, file = store.put("x", b"abc"), store.new_file("x")
    file.write(b"abd")
    assert file.publish("x").result().version == store.info("x").version != old


def test_a_put_that_expects(store):
    with pytest.raises(CommitConflict, match="x"):
        store.put("x", b"a", expected="1")
    first = store.put("x", b"a", expected=None)
    with pytest.raises(CommitConflict):
        store.put("x", b"b", expected=None)
    second = store.put("x", b"b", expected=first)
    with pytest.raises(CommitConflict):
        store.put("x", b"c", expected=first)
    assert store.read("x", limit=1) == (b"b", second)


def test_of_many_that_expect_the_same_one_succeeds(store):
    first, ends = store.put("x", b"0"), []

    def work(number):
        try:
            ends.append(store.put("x", b"%d" % number, expected=first))
        except CommitConflict:
            ends.append(None)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(ends) == 8 and ends.count(None) == 7 and store.info("x").version in ends


def test_the_lock_may_be_held_by_the_thread_that_puts(store):
    with store.lock(), store.lock():
        version = store.put("x", b"a", expected=None)
    assert store.read("x", limit=1) == (b"a", version)


def test_the_lock_keeps_other_threads_out(store):
    inside, most = [], []

    def work():
        for _ in range(50):
            with store.lock():
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert max(most) == 1 and len(most) == 200


def test_ranges(store):
    version = store.put("x", bytes(range(100)))
    store.put("y", b"abc")
    found = ranges(store, Want("x", 10, 5), Want("y", 0, 3), Want("x", 90, 20), Want("x", 99, 1, version), Want("y", 1, 0), Want("z", 0, 1), Want("x", 0, 1, "other"))
    assert (found[0], found[1], found[3], found[4]) == (bytes(range(10, 15)), b"abc", b"c", b"")
    assert isinstance(found[2], DatasetChanged) and "the file ends at byte 100" in str(found[2])
    assert isinstance(found[5], FileNotFoundError) and isinstance(found[6], DatasetChanged)


def test_ranges_of_a_file_that_was_replaced(store):
    old = store.put("x", b"abc")
    assert ranges(store, Want("x", 0, 3, old))[0] == b"abc"
    new = store.put("x", b"xyz")
    found = ranges(store, Want("x", 0, 3, old), Want("x", 0, 3, new), Want("x", 0, 3))
    assert isinstance(found[0], DatasetChanged) and found[1] == found[2] == b"xyz"
    store.delete(["x"])
    assert isinstance(ranges(store, Want("x", 0, 3))[0], FileNotFoundError)


def test_names_are_sorted_and_begin_as_asked(store):
    for name in ("b", "a/2", "a/1", "a.x", "ab", "a/c/d", "a-"):
        store.put(name, b"")
    assert names(store) == sorted(["b", "a/2", "a/1", "a.x", "ab", "a/c/d", "a-"])
    assert names(store, "a/") == ["a/1", "a/2", "a/c/d"] and names(store, "a/c") == ["a/c/d"] and names(store, "ab") == ["ab"] and names(store, "z/") == []
    assert list(store.entries()) == ["a", "a-", "a.x", "ab", "b"]


def test_inside(store):
    inner = store.inside("a/c")
    assert names(inner) == [] == list(inner.entries())
    inner.create()
    inner.put("d", b"1")
    store.put("e", b"2")
    assert names(store) == ["a/c/d", "e"] and names(inner) == ["d"] and inner.url.endswith("s/a/c") and inner.inside("x").url.endswith("s/a/c/x")
    store.copy("a/c/d", "f")
    store.copy("e", "a/c/d")
    assert store.read("f", limit=1)[0] == b"1" and inner.read("d", limit=1)[0] == b"2"
    inner.delete(["d"])
    inner.remove_if_empty()
    assert names(store) == ["e", "f"] == list(store.entries()) or list(store.entries()) == ["a", "e", "f"]


def test_a_copy_of_itself(store):
    store.put("x", b"1")
    store.copy("x", "x")
    assert names(store) == ["x"] and store.read("x", limit=1)[0] == b"1"


def test_a_place_that_is_not_empty_stays(store):
    store.put("x", b"1")
    store.remove_if_empty()
    assert names(store) == ["x"] and not store.create()
    store.delete(["x"])
    store.remove_if_empty()
    assert store.create()


def test_a_log(store):
    log = store.new_log("log", b"1\n", "mark")
    assert log.can_be_held and store.is_held("log", near=True) is True and names(store) == ["log"]
    old = store.info("log").version
    log.append(b"2\n")
    log.sync()
    assert store.read("log", limit=9)[0] == b"1\n2\n" and store.info("log").version != old
    log.close()
    log.close()
    assert store.is_held("log", near=True) is False


def test_a_log_that_is_replaced(store):
    first = store.new_log("log", b"1\n", "a")
    second = store.new_log("log", b"2\n", "b")
    first.append(b"lost\n")
    second.append(b"3\n")
    first.close()
    assert store.read("log", limit=9)[0] == b"2\n3\n" and store.is_held("log", near=True) is True
    store.delete(["log"])
    second.append(b"lost\n")
    assert names(store) == []
    second.close()


def test_a_log_whose_holder_forgot_it(store):
    log = store.new_log("log", b"1\n", "a")
    del log
    assert store.is_held("log", near=True) is False


def test_places_of_users(tmp_path):
    store = open_store(tmp_path / "x")
    assert isinstance(store, LocalStore) and store.folder == tmp_path / "x" and open_store(store) is store and is_store(store) and not is_store(tmp_path)
    memory = MemoryStore()
    assert open_store(memory) is memory
    for wrong in (3, None):
        with pytest.raises(TypeError, match="dst="):
            open_store(wrong, "dst")
