"""LocalStore: links, files that are none, files that another program changes, its few descriptors; what goes to other processes."""

import errno
import os
import pickle

import pytest

from atlas_ds.errors import CorruptError, DatasetChanged
from atlas_ds.store.local import LocalStore
from atlas_ds.store.store import Want
from support import fd_count


@pytest.fixture
def store(tmp_path):
    made = LocalStore(tmp_path / "s")
    made.create()
    return made


def only(store, want):
    ((_, found),) = store.read_ranges([want])
    return found


def test_it_is_pickled_by_its_folder(store):
    store.put("x", b"1")
    assert pickle.loads(pickle.dumps(store)).read("x", limit=1)[0] == b"1" and pickle.loads(pickle.dumps(store)).folder == store.folder


def test_links_to_files_are_read(store, tmp_path):
    (tmp_path / "far").write_bytes(b"abc")
    (store.folder / "x").symlink_to(tmp_path / "far")
    assert store.info("x").size == 3 and store.read("x", limit=3)[0] == b"abc" and bytes(only(store, Want("x", 1, 2))) == b"bc"
    assert [info.name for info in store.list()] == ["x"]
    for call in (lambda: store.info("x", follow=False), lambda: store.read("x", limit=3, follow=False)):
        with pytest.raises(CorruptError, match="x: is a link, and must be a regular file"):
            call()


def test_what_a_link_leads_to_is_never_changed(store, tmp_path):
    (tmp_path / "far").write_bytes(b"abc")
    for change in (lambda: store.put("x", b"new"), lambda: store.delete(["x"]), lambda: store.copy("y", "x"), lambda: store.new_log("x", b"", "m").close()):
        store.put("y", b"other")
        store.delete(["x"])
        (store.folder / "x").symlink_to(tmp_path / "far")
        change()
        assert (tmp_path / "far").read_bytes() == b"abc" and not (store.folder / "x").is_symlink()


def test_links_to_folders_are_not_followed(store, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "x").write_bytes(b"abc")
    (store.folder / "a").symlink_to(tmp_path / "far")
    assert list(store.list()) == []
    for prefix in ("a", "a/b"):
        with pytest.raises(CorruptError, match="a: is not a folder but a link or a file"):
            store.inside(prefix)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file(store, make):
    make(store.folder / "x")
    for call in (lambda: store.info("x"), lambda: store.read("x", limit=9), lambda: store.read_tail("x", 9), lambda: store.stream("x")):
        with pytest.raises(CorruptError, match="must be a regular file"):
            call()
    assert isinstance(only(store, Want("x", 0, 1)), CorruptError) and list(store.list()) == [] and list(store.entries()) == ["x"]
    store.delete(["x"])
    assert (store.folder / "x").exists() == (make is os.mkdir)


def test_names_of_unfinished_files_and_locks_are_not_listed(store):
    file = store.new_file("x", "mark")
    with store.lock():
        assert list(store.list()) == [] == list(store.entries()) and len(os.listdir(store.folder)) == 2
    store.new_file("y", "other")
    store.remove_unfinished("mark")
    assert [name for name in os.listdir(store.folder) if "mark" in name] == [] and any("other" in name for name in os.listdir(store.folder))
    file.discard()


def test_a_file_that_another_program_replaced(store):
    version = store.put("x", b"abc")
    assert bytes(only(store, Want("x", 0, 3, version))) == b"abc"
    LocalStore(store.folder).put("x", b"xyz")
    assert isinstance(only(store, Want("x", 0, 3, version)), DatasetChanged)
    assert bytes(only(store, Want("x", 0, 3, store.info("x").version))) == b"xyz"


def test_a_file_that_became_shorter(store):
    store.put("x", b"abcdef")
    assert bytes(only(store, Want("x", 0, 6))) == b"abcdef"
    os.truncate(store.folder / "x", 2)
    found = only(store, Want("x", 0, 6))
    assert isinstance(found, DatasetChanged) and "x: the file ends at byte 2, it was 6 bytes long when it was opened; it was truncated or replaced" in str(found)


def test_an_empty_file(store):
    store.put("x", b"")
    assert only(store, Want("x", 0, 0)) == b"" and isinstance(only(store, Want("x", 0, 1)), DatasetChanged)
    assert store.read_tail("x", 9)[0] == b"" and store.read("x", limit=0)[0] == b""


def test_few_descriptors_stay_open(store):
    for number in range(200):
        store.put(str(number), b"%d" % number)
    before = fd_count()
    found = [bytes(only(store, Want(str(number), 0, len(str(number))))) for number in range(200)]
    assert found == [b"%d" % number for number in range(200)] and fd_count() - before <= 64


def test_a_clock_that_stands_still(store):
    """Two writes within one tick, or after the clock was set back, are two versions."""
    first = store.put("x", b"abc")
    os.utime(store.folder / "x", ns=(0, 1 << 62))
    far = store.info("x").version
    second = store.put("x", b"abd", expected=far)
    assert len({first, far, second}) == 3 and store.info("x").version == second


def test_a_put_that_fails_leaves_the_old_file(store, monkeypatch):
    version = store.put("x", b"old")
    before = fd_count()

    def fail(fd):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"Input/output error"):
        store.put("x", b"new", expected=version)
    assert store.read("x", limit=3) == (b"old", version) and sorted(os.listdir(store.folder)) == [".atlas.lock", "x"]
    assert fd_count() == before


def test_names_in_subfolders_are_safe(store, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    store.put("a/b/c", b"1")
    root = str(store.folder)
    assert synced[1:] == [root, f"{root}/a", f"{root}/a/b"] and ".tmp-c-" in synced[0]


def test_a_log_that_replaces_another_is_safe_before_it_has_the_name(store, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, original=original: (calls.append(name), original(*args)))
    store.new_log("log", b"1", "m").close()
    assert calls == ["replace"]
    store.new_log("log", b"2", "m").close()
    assert calls == ["replace", "fsync", "replace"]


def test_a_forked_child_does_not_think_that_it_holds_the_lock(store):
    with store.lock():
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                from atlas_ds.store import lock

                lock._acquire_lock = lambda folder: os._exit(0)
                with store.lock():
                    pass
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_whether_a_log_is_held_far_away(store, monkeypatch):
    from atlas_ds.store import lock

    log = store.new_log("log", b"", "m")
    monkeypatch.setattr(lock, "_kind_of", lambda path: "nfs4")
    assert store.is_held("log", near=True) is store.is_held("log", near=False) is True
    log.close()
    assert store.is_held("log", near=True) is False and store.is_held("log", near=False) is None
    monkeypatch.setattr(lock, "try_flock", lambda fd: None)
    assert store.is_held("log", near=True) is None
