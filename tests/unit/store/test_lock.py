"""One process at a time in a folder, with flock and without; whose process has ended."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from atlas_ds import errors
from atlas_ds.store import lock, owner
from atlas_ds.store.owner import has_ended, is_near, owner_from_json, this_process


@pytest.fixture(params=["flock", "ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def locks(request, monkeypatch):
    """A file system with locks, or without."""
    if request.param != "flock":
        code = getattr(errno, request.param)

        def refuse(*args):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def test_one_thread_at_a_time(tmp_path, locks):
    inside, most, done = [], [], []

    def work():
        for _ in range(20):
            with lock.locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.0002)
                inside.pop()
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(done) == 6 and max(most) == 1 and set(os.listdir(tmp_path)) == {lock.LOCK}


def test_an_error_inside_lets_others_in(tmp_path, locks):
    with pytest.raises(ZeroDivisionError), lock.locked(tmp_path):
        raise ZeroDivisionError
    with lock.locked(tmp_path):
        pass


@pytest.mark.parametrize("name", [lock.LOCK, lock.HELD])
def test_what_is_no_file_is_an_error_at_once(tmp_path, monkeypatch, name):
    """Nor is a link followed: the file that it leads to stays as it is, or unmade."""
    if name == lock.HELD:
        monkeypatch.setattr(lock, "_acquire_lock", lambda folder: None)
    (tmp_path / "mine").write_text("{}")
    for make in (os.mkfifo, os.mkdir, lambda path: os.symlink(tmp_path / "mine", path), lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(tmp_path / "new", path)):
        make(tmp_path / name)
        with pytest.raises(errors.CorruptError, match="must be a regular file"), lock.locked(tmp_path):
            pass
        os.rmdir(tmp_path / name) if (tmp_path / name).is_dir() else os.remove(tmp_path / name)
    assert os.listdir(tmp_path) == ["mine"] and (tmp_path / "mine").read_text() == "{}"


ODD_OWNERS = ["", "3", "[]", "[" * 60_000, "{}", '{"pid":' + "9" * 5000 + "}", '"x"', "\xff"]


@pytest.mark.parametrize("text", [*ODD_OWNERS, *({"pid": 1 << 40}, {"pid": -1}, {"pid": 0}, {"started": 10**30}, {"host": "h" * 300}, {"pid": True}, {"more": 1})], ids=lambda text: str(text)[:12])
def test_a_sign_that_no_process_left_is_nobodys(tmp_path, monkeypatch, text):
    """It is waited for, and stays."""
    monkeypatch.setattr(lock, "_acquire_lock", lambda folder: None)
    monkeypatch.setattr(lock, "TIMEOUT", 0.05)
    data = text.encode() if isinstance(text, str) else json.dumps(this_process().to_json() | {"token": "0" * 16} | text).encode()
    (tmp_path / lock.HELD).write_bytes(data)
    with pytest.raises(errors.WriterBusy, match="another writer has held this lock"), lock.locked(tmp_path):
        pass
    assert (tmp_path / lock.HELD).read_bytes() == data


def test_a_name_of_a_process_steers_no_terminal():
    assert str(replace(this_process(), host="h\x1b[2J\n", since="\u202e")).isprintable()


def test_the_sign_of_a_process_that_ended_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_acquire_lock", lambda folder: None)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    sign = replace(this_process(), pid=gone.pid, started=1).to_json() | {"token": "a"}
    (tmp_path / lock.HELD).write_text(json.dumps(sign))
    with lock.locked(tmp_path):
        assert json.loads((tmp_path / lock.HELD).read_bytes())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [{}, {"host": "elsewhere"}, {"boot": "another"}], ids=["alive", "host", "boot"])
def test_the_sign_of_another_is_respected(tmp_path, monkeypatch, change):
    """Of one that is alive, or may be: whether a process of another machine has ended cannot be told."""
    monkeypatch.setattr(lock, "_acquire_lock", lambda folder: None)
    monkeypatch.setattr(lock, "TIMEOUT", 0.05)
    number = {} if not change else {"pid": 1 << 22, "started": 5}
    sign = json.dumps(replace(this_process(), **number, **change).to_json() | {"token": "a"})
    (tmp_path / lock.HELD).write_text(sign)
    with pytest.raises(errors.WriterBusy, match="delete this file"), lock.locked(tmp_path):
        pass
    assert (tmp_path / lock.HELD).read_text() == sign


def test_breaking_what_another_took_meanwhile(tmp_path, monkeypatch):
    """Two see the sign of an ended process; the slower one finds another's sign in its place, and gives it back."""
    gone = json.dumps(replace(this_process(), pid=1 << 22, started=5).to_json() | {"token": "a"})
    ours = json.dumps(this_process().to_json() | {"token": "b"})
    path = tmp_path / lock.HELD
    path.write_text(gone)
    rename = os.rename

    def late(source, target):
        path.write_text(ours)
        rename(source, target)

    monkeypatch.setattr(os, "rename", late)
    lock._break_if_ended(path)
    assert path.read_text() == ours and os.listdir(tmp_path) == [lock.HELD]


def test_a_lock_file_that_was_removed_meanwhile(tmp_path, monkeypatch):
    """It was locked after another had removed it with its folder's last file: a lock of a file without a name locks nothing."""
    flock, calls = fcntl.flock, []

    def removed(fd, how):
        flock(fd, how)
        calls.append(fd)
        if len(calls) == 1:
            os.unlink(tmp_path / lock.LOCK)

    monkeypatch.setattr(fcntl, "flock", removed)
    with lock.locked(tmp_path):
        assert (tmp_path / lock.LOCK).exists() and len(calls) == 2


def test_folders_are_removed_if_nothing_is_left(tmp_path):
    (tmp_path / "a").mkdir()
    with lock.locked(tmp_path / "a"):
        pass
    lock.remove_if_empty(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").touch()
    lock.remove_if_empty(tmp_path / "b")
    lock.remove_if_empty(tmp_path / "c")
    assert os.listdir(tmp_path) == ["b"]


def test_whose_process_has_ended():
    me = this_process()
    assert owner_from_json(json.loads(json.dumps(me.to_json()))) == me and is_near(me) and not has_ended(me.pid, me.started)
    assert has_ended(me.pid, me.started + 1), "the number is another's by now"
    assert not has_ended(1, 0) and not is_near(replace(me, host="x")) and not is_near(replace(me, space="x")) and not is_near(replace(me, boot="x"))
    child = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 20
    while not has_ended(child.pid, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert has_ended(child.pid, 0), "it has ended, though nobody has asked for its exit code yet"
    child.wait()


@pytest.mark.parametrize("data", [None, [], {}, {"pid": 1}, this_process().to_json() | {"pid": True}, this_process().to_json() | {"pid": -1}, this_process().to_json() | {"x": 1}], ids=str)
def test_what_is_no_process(data):
    with pytest.raises(ValueError):
        owner_from_json(data)


def test_kinds_of_file_systems(tmp_path, monkeypatch):
    assert lock.flock_spans_machines(tmp_path)
    for kind, reaches in (("ext4", True), ("nfs4", False), ("fuse.sshfs", False), ("lustre", False)):
        monkeypatch.setattr(lock, "_kind_of", lambda path, kind=kind: kind)
        assert lock.flock_spans_machines(tmp_path) is reaches
    monkeypatch.undo()
    assert lock._kind_of("/proc") == "proc" and owner.here_mark() == owner.here_mark() and len(owner.here_mark()) == 8
