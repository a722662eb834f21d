"""LocalStore and MemoryStore keep the rules of store/store.py; each test says the same of both, unless its name says which."""

import contextlib
import errno
import os
import pickle
import signal
import threading
from pathlib import Path

import pytest

from atlas_ds.errors import AtlasError, CommitConflict, CorruptError, DatasetChanged, LimitError, UnsupportedError
from atlas_ds.store import lock
from atlas_ds.store.local import LocalStore, open_store
from atlas_ds.store.memory import MemoryStore
from atlas_ds.store.store import FileInfo, Want, place_of
from support import fd_count


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return LocalStore(tmp_path) if request.param == "local" else MemoryStore("memory:x")


@pytest.fixture
def local(tmp_path):
    return LocalStore(tmp_path)


def read(store, name):
    return store.read(name, limit=1 << 20)[0]


def names(found):
    return [one.name for one in found]


def published(store, name, data=b"abc"):
    file = store.new_file("x")
    file.write(data)
    return file.publish(name).result()


def ranges(store, *wants):
    return {number: bytes(answer) if not isinstance(answer, Exception) else answer for number, answer in store.read_ranges([Want(*want) for want in wants])}


# --- names ---


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\0b"])
def test_no_name_leads_out(store, name):
    calls = (
        lambda: store.info(name), lambda: store.put(name, b"x"), lambda: store.delete([name]), lambda: store.copy("x", name), lambda: store.inside(name),
        lambda: store.read(name, limit=9), lambda: store.new_file("x").publish(name), lambda: store.new_log(name, lambda held: b"", "m"),
    )  # fmt: skip
    store.put("x", b"x")
    for call in calls:
        with pytest.raises(ValueError, match="is not a name of a store"):
            call()
    assert names(store.list()) == ["x"]


def test_a_path_or_a_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    memory = MemoryStore()
    assert open_store(memory) is memory and open_store("d").folder == tmp_path / "d" == open_store(Path("d")).folder
    with pytest.raises(UnsupportedError, match="is a URL"):
        open_store("s3://bucket/d")
    with pytest.raises(ValueError, match="dst=''"):
        open_store("", "dst")


def test_places(tmp_path):
    assert place_of(LocalStore(tmp_path), "a/b") == str(tmp_path / "a/b") and place_of(MemoryStore("memory:x"), "a") == "memory:x/a"
    assert place_of(MemoryStore("memory:x").inside("p"), "a") == "memory:x/p/a" and repr(MemoryStore("memory:x")) == "MemoryStore('memory:x')"


# --- reading ---


def test_what_is_published_is_read(store):
    found = published(store, "a/b", bytes(range(100)))
    assert found == store.info("a/b") and found.size == 100 and names(store.list()) == ["a/b"]
    assert store.read("a/b", limit=100) == (bytes(range(100)), found.version)
    assert [(bytes(data), info) for data, info in [store.read_tail("a/b", 7), store.read_tail("a/b", 1000)]] == [
        (bytes(range(93, 100)), found), (bytes(range(100)), found),
    ]  # fmt: skip
    with store.stream("a/b") as file:
        assert file.read(10) == bytes(range(10)) and file.read() == bytes(range(10, 100))


def test_a_missing_file_is_named(store):
    store.put("there", b"x")
    for call in (store.info, store.stream, lambda name: store.read(name, limit=1), lambda name: store.read_tail(name, 1), lambda name: store.copy(name, "y")):
        with pytest.raises(FileNotFoundError, match="gone"):
            call("gone")
    assert isinstance(ranges(store, ("gone", 0, 1))[0], FileNotFoundError)
    store.delete(["gone", "there", "no/folder"])
    assert names(store.list()) == []


def test_too_large(store):
    store.put("x", b"12345")
    with pytest.raises(LimitError, match=r"x: has 5 bytes, and at most 4 are read"):
        store.read("x", limit=4)


def test_ranges_fail_one_by_one(store):
    version = store.put("x", b"0123456789")
    store.put("y", b"abc")
    found = ranges(store, ("x", 2, 3), ("gone", 0, 1), ("y", 1, 2, "another"), ("x", 0, 10, version), ("y", 1, 3), ("x", 10, 0))
    assert (found[0], found[3], found[5]) == (b"234", b"0123456789", b"")
    assert [type(found[k]) for k in (1, 2, 4)] == [FileNotFoundError, DatasetChanged, DatasetChanged]
    assert "ends at byte 3" in str(found[4]) and "was replaced" in str(found[2])


def test_a_range_of_a_replaced_file(store):
    old = store.put("x", b"old")
    assert ranges(store, ("x", 0, 3, old), ("x", 0, 3)) == {0: b"old", 1: b"old"}
    store.put("x", b"new")
    found = ranges(store, ("x", 0, 3, old), ("x", 0, 3))
    assert isinstance(found[0], DatasetChanged) and found[1] == b"new"
    published(store, "x", b"pub")
    assert ranges(store, ("x", 0, 3))[0] == b"pub"
    store.put("z", b"ZZZ")
    store.copy("z", "x")
    assert ranges(store, ("x", 0, 3))[0] == b"ZZZ"


def test_local_a_file_that_others_change(local, tmp_path):
    version = local.put("x", b"0123")
    assert ranges(local, ("x", 0, 4, version))[0] == b"0123"
    (tmp_path / "x").write_bytes(b"in place")
    assert isinstance(ranges(LocalStore(tmp_path), ("x", 0, 4, version))[0], DatasetChanged)
    version = local.info("x").version
    assert ranges(local, ("x", 0, 4, version), ("x", 0, 4))[0] == b"in p"
    os.truncate(tmp_path / "x", 2)
    assert all(isinstance(answer, DatasetChanged) for answer in ranges(local, ("x", 0, 4, version), ("x", 0, 4)).values())


def test_local_an_empty_file(local):
    local.put("x", b"")
    assert "the file is empty" in str(ranges(local, ("x", 0, 1))[0]) and bytes(local.read_tail("x", 5)[0]) == b""


def test_local_many_files_keep_few_descriptors(local):
    for k in range(200):
        local.put(str(k), b"%03d" % k)
    before = fd_count()
    assert ranges(local, *((str(k), 0, 3) for k in range(200))) == {k: b"%03d" % k for k in range(200)}
    assert fd_count() - before <= 64


def test_lists(store):
    for name in ("b", "a/2", "a/1", "a.x", "a-x", "ab/c/d"):
        store.put(name, name.encode())
    unfinished = store.new_file("x")
    unfinished.write(b"x")
    assert names(store.list()) == ["a-x", "a.x", "a/1", "a/2", "ab/c/d", "b"]
    assert [names(store.list(prefix)) for prefix in ("a", "a/", "a/1", "ab/c", "ab/c/", "q", "q/r", "a/1/x")] == [
        ["a-x", "a.x", "a/1", "a/2", "ab/c/d"], ["a/1", "a/2"], ["a/1"], ["ab/c/d"], ["ab/c/d"], [], [], [],
    ]  # fmt: skip
    assert sorted(store.entries()) == ["a-x", "a.x", "a/", "ab/", "b"] and [one.size for one in store.list("ab")] == [6]
    unfinished.discard()


def test_local_lists_files_only(local, tmp_path):
    local.put("a", b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert names(local.list()) == ["a", "link"]
    assert sorted(local.entries()) == ["a", "broken", "circle", "folder/", "link", "pipe"]
    with pytest.raises(CorruptError, match="is a pipe, and must be a regular file"):
        local.info("pipe")
    with pytest.raises(CorruptError, match="is a folder"):
        local.read("folder", limit=1)
    with pytest.raises(CorruptError, match="is a link"):
        local.read("link", limit=1, follow=False)
    assert local.read("link", limit=1)[0] == b"x" and [local.is_plain(name) for name in ("a", "link", "pipe", "folder", "gone")] == [True] + [False] * 4
    local.delete(["link", "circle", "folder", "broken", "pipe"])
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]


def test_plain_files_have_a_size(store):
    store.put("x", b"123")
    assert [store.is_plain("x"), store.is_plain("x", 3), store.is_plain("x", 4), store.is_plain("y")] == [True, True, False, False]


# --- writing ---


def test_nothing_is_seen_before_it_is_published(store):
    store.put("x", b"old")
    file = store.new_file("label")
    file.write(b"new")
    file.finish()
    assert read(store, "x") == b"old" and names(store.list()) == ["x"] and [one.size for one in store.unfinished()] == [3]
    assert file.publish("x").done() and read(store, "x") == b"new" and list(store.unfinished()) == []
    file.discard()
    assert read(store, "x") == b"new"
    for late in (lambda: file.write(b"x"), file.finish, lambda: file.publish("y")):
        with pytest.raises(ValueError, match="is already published"):
            late()


def test_unfinished_files_can_be_read_and_removed(store):
    file = store.new_file("00007", "f00d")
    file.write(b"half")
    if isinstance(store, LocalStore):
        file.stamp()  # to the system
    (found,) = store.unfinished()
    assert found.name == ".tmp-00007-f00d-0" and read(store, found.name) == b"half" and names(store.list()) == []
    other = store.new_file("00007", "beef")
    store.remove_unfinished("f00d")
    assert names(store.unfinished()) == [".tmp-00007-beef-0"]
    store.delete([".tmp-00007-beef-0"])
    assert list(store.unfinished()) == []
    other.discard()
    file.discard()


def test_versions_are_never_used_twice(store):
    seen = [store.put("x", b"%d" % (k % 10)) for k in range(50)]
    for _ in range(20):
        seen.append(published(store, "x", b"1").version)
    for _ in range(20):
        store.delete(["x"])
        seen.append(store.put("x", b"1", expected=None))
    assert len(set(seen)) == len(seen) and store.info("x").version == seen[-1]


def test_local_versions_where_the_clock_goes_back(local, tmp_path):
    """Or where a file system keeps whole seconds: a replacement is later than what it replaces."""
    local.put("x", b"1")
    os.utime(tmp_path / "x", ns=(0, 1 << 62))
    late = local.info("x").version
    assert local.put("x", b"2", expected=late) != late and os.stat(tmp_path / "x").st_mtime_ns > 1 << 62


def test_expected_versions(store):
    with pytest.raises(CommitConflict, match="x: does not exist any more"):
        store.put("x", b"1", expected="7")
    first = store.put("x", b"1", expected=None)
    with pytest.raises(CommitConflict, match="x: already exists"):
        store.put("x", b"2", expected=None)
    second = store.put("x", b"2", expected=first)
    with pytest.raises(CommitConflict, match="x: was replaced by another writer"):
        store.put("x", b"3", expected=first)
    assert read(store, "x") == b"2" and store.info("x").version == second and list(store.unfinished()) == []
    store.put("x", b"4")
    assert read(store, "x") == b"4"


def test_of_many_who_expect_the_same_one_succeeds(store):
    for _ in range(10):
        version = store.put("x", b"0")
        barrier, won = threading.Barrier(6), []

        def work(number, version=version, barrier=barrier, won=won):
            mine = LocalStore(store.url) if isinstance(store, LocalStore) else store
            barrier.wait()
            with contextlib.suppress(CommitConflict):
                mine.put("x", b"%d" % number, expected=version)
                won.append(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(won) == 1 and read(store, "x") == b"%d" % won[0]


def test_a_second_name(store):
    store.put("a", b"1")
    store.put("b", b"2")
    store.copy("a", "b")
    store.put("a", b"3")
    store.delete(["a"])
    assert read(store, "b") == b"1" and names(store.list()) == ["b"]


def test_local_an_error_leaves_nothing(local, tmp_path, monkeypatch):
    local.put("x", b"old")
    for name in ("writev", "fsync", "replace"):
        with monkeypatch.context() as patch, pytest.raises(OSError, match="disk is full"):
            patch.setattr(os, name, lambda *args, **kwargs: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            local.put("x", b"new")
    assert sorted(os.listdir(tmp_path)) == ["x"] and read(local, "x") == b"old"


def test_local_a_link_is_replaced_not_followed(local, tmp_path):
    (tmp_path / "mine").write_bytes(b"precious")
    (tmp_path / "x").symlink_to(tmp_path / "mine")
    local.put("x", b"new")
    assert (tmp_path / "mine").read_bytes() == b"precious" and read(local, "x") == b"new" and not (tmp_path / "x").is_symlink()


# --- several writers ---


def test_inside(store):
    inner = store.inside(".parts/00003")
    assert (inner.create() and not store.create()) or isinstance(store, MemoryStore)
    inner.put("x", b"1")
    assert read(store, ".parts/00003/x") == b"1" and names(inner.list()) == ["x"] and list(store.inside(".parts").entries()) == ["00003/"]
    assert names(store.list()) == [".parts/00003/x"] and inner.url == f"{store.url}/.parts/00003"
    inner.delete(["x"])
    inner.remove_if_empty()
    store.inside(".parts").remove_if_empty()
    assert list(store.entries()) == []


def test_a_file_is_not_a_place(store):
    store.put("x", b"1")
    with pytest.raises(CorruptError, match=r"is (a file|not a folder)"):
        store.inside("x")


def test_local_a_link_is_not_a_place(local, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "other")
    for prefix in ("d", "d/inner"):
        with pytest.raises(CorruptError, match="is not a folder but a link"):
            local.inside(prefix)


def test_local_making_the_place(tmp_path):
    store = LocalStore(tmp_path / "a" / "b")
    assert (store.create(), store.create()) == (True, False)
    with store.lock():
        pass
    store.remove_if_empty()
    assert not (tmp_path / "a" / "b").exists() and list(store.list()) == [] == list(store.entries())
    with pytest.raises(FileNotFoundError), store.lock():
        pass
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="is a file; a dataset is a folder"):
        LocalStore(tmp_path / "file").create()


def test_a_thread_may_lock_again(store):
    inside, entered = [], threading.Event()

    def other():
        entered.set()
        with store.lock():
            inside.append("other")

    thread = threading.Thread(target=other)
    with store.lock():
        with store.lock():
            store.put("x", b"1", expected=None)
        thread.start()
        entered.wait()
        thread.join(0.05)
        assert inside == [], "it is still locked after the inner one was left"
        with store.inside("p").lock() if isinstance(store, MemoryStore) else contextlib.nullcontext():
            pass
    thread.join()
    assert inside == ["other"]


def test_local_two_stores_of_one_folder_have_one_lock(tmp_path):
    with LocalStore(tmp_path).lock(), LocalStore(tmp_path).lock():
        assert lock.is_flocked(tmp_path / lock.LOCK) is True
    assert lock.is_flocked(tmp_path / lock.LOCK) is False


def test_logs(store):
    told = []
    log = store.new_log("log", lambda held: (told.append(held), b"head\n")[1], "f00d")
    log.append(b"1\n")
    log.sync()
    assert told == [True] and read(store, "log") == b"head\n1\n" and store.is_held("log") is True and names(store.list()) == ["log"]
    newer = store.new_log("log", lambda held: b"new\n", "f00d")
    log.append(b"lost\n")
    log.close()
    log.close()
    assert read(store, "log") == b"new\n" and store.is_held("log") is True
    newer.close()
    assert store.is_held("log") is False
    with pytest.raises((ValueError, OSError)):
        newer.append(b"late\n")
    assert read(store, "log") == b"new\n"
    store.delete(["log"])
    with pytest.raises(FileNotFoundError):
        store.is_held("log")


def test_a_log_that_nobody_has_is_not_held(store):
    store.new_log("log", lambda held: b"head\n", "f00d")
    assert store.is_held("log") is False


def test_an_error_of_the_beginning_leaves_no_log(store):
    with pytest.raises(ZeroDivisionError):
        store.new_log("log", lambda held: b"%d" % (1 // 0), "f00d")
    assert list(store.entries()) == [] == list(store.unfinished())


def test_local_a_log_is_synced_before_it_replaces_another(local, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), replace(*names)))
    local.new_log("log", lambda held: b"1", "m")
    local.new_log("log", lambda held: b"2", "m")
    assert calls == ["replace", "fsync", "replace"]


def test_local_locks_of_other_machines(local, monkeypatch):
    for spans in (False, True):
        monkeypatch.setattr("atlas_ds.store.local.flock_spans_machines", lambda path, spans=spans: spans)
        assert local.sees_every_holder() is spans


# --- processes ---


def test_pickles(tmp_path):
    store = pickle.loads(pickle.dumps(LocalStore(tmp_path).inside("p")))
    assert store.folder == tmp_path / "p" and repr(store) == f"LocalStore('{tmp_path}/p')"
    with pytest.raises(AtlasError, match=r"memory:x: .* cannot be pickled: write the dataset to a folder, or fork"):
        pickle.dumps(MemoryStore("memory:x"))


def test_a_forked_child_has_a_store(store):
    """While another thread has the lock, and this one, too: memory is a copy, a folder is the same."""
    store.put("x", b"1")
    entered, done = threading.Event(), threading.Event()
    inner = store.inside("p")
    inner.create()

    def hold():
        with inner.lock():
            entered.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with store.lock() if isinstance(store, MemoryStore) else contextlib.nullcontext():
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            good = read(store, "x") == b"1" and bool(store.put("y", b"2"))
            if isinstance(store, MemoryStore):
                with inner.lock():
                    good = good and bool(inner.put("z", b"3"))
    if pid == 0:
        os._exit(0 if good else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    done.set()
    thread.join()
    assert status == 0 and names(store.list()) == (["x"] if isinstance(store, MemoryStore) else ["x", "y"])
    with store.lock(), inner.lock():
        pass


def test_infos_are_tuples(store):
    version = store.put("x", b"1")
    assert store.info("x") == FileInfo("x", 1, version) == ("x", 1, version)
