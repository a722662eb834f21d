"""NewFile: bytes are durable before they have a name, names are durable before publish returns, and failures leave nothing."""

import errno
import os

import pytest

from atlas_ds.store import files, owner
from atlas_ds.store.files import NewFile, link_file, write_file
from atlas_ds.store.temporary import leftovers, temporary_name
from support import fd_count


@pytest.fixture
def calls(monkeypatch):
    """Every call that matters for durability, in order."""
    log: list[str] = []
    for name in ("fsync", "replace", "unlink", "writev"):
        original = getattr(os, name)

        def record(*args, name=name, original=original, **kwargs):
            what = "folder" if name == "fsync" and os.path.isdir(f"/proc/self/fd/{args[0]}") else "file"
            log.append(f"{name} {what}" if name == "fsync" else name)
            return original(*args, **kwargs)

        monkeypatch.setattr(files.os, name, record)
    return log


def test_order_of_a_new_name(tmp_path, calls):
    file = NewFile(tmp_path, "x")
    file.write(b"abc")
    assert file.publish("x").result()[:2] == ("x", 3) and (tmp_path / "x").read_bytes() == b"abc" and file.size == 3
    assert calls == ["writev", "fsync file", "replace", "fsync folder"] and os.listdir(tmp_path) == ["x"]


def test_order_of_a_replacement(tmp_path, calls):
    (tmp_path / "x").write_bytes(b"old")
    write_file(tmp_path, "x", b"new")
    assert calls == ["writev", "fsync file", "replace", "fsync folder"] and (tmp_path / "x").read_bytes() == b"new"


def test_a_second_name(tmp_path):
    (tmp_path / "x").write_bytes(b"new")
    (tmp_path / "taken").write_bytes(b"old")
    for target in ("y", "taken", "taken"):
        link_file(tmp_path / "x", tmp_path / target)
    assert sorted(os.listdir(tmp_path)) == ["taken", "x", "y"] and {path.read_bytes() for path in tmp_path.iterdir()} == {b"new"}


def test_discard(tmp_path):
    before = fd_count()
    file = NewFile(tmp_path, "x")
    file.write(b"abc")
    file.discard()
    file.discard()
    assert os.listdir(tmp_path) == [] and fd_count() == before


@pytest.mark.parametrize("name", ["writev", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, name, code):
    (tmp_path / "x").write_bytes(b"old")
    before = fd_count()

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, name, fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_file(tmp_path, "x", b"new")
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_bytes() == b"old" and fd_count() == before


def test_a_failed_fsync_is_never_tried_again(tmp_path, monkeypatch):
    """The kernel may have dropped the pages that it could not write: a second fsync would lie."""
    file = NewFile(tmp_path, "x")
    file.write(b"abc")
    failures = iter([OSError(errno.EIO, "x")])
    original = os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda fd: (_ for _ in ()).throw(error) if (error := next(failures, None)) else original(fd))
    with pytest.raises(OSError):
        file.publish("x")
    with pytest.raises((OSError, ValueError)):
        file.publish("x")
    assert os.listdir(tmp_path) == []


def test_short_writes_are_continued(tmp_path, monkeypatch):
    original = os.writev
    monkeypatch.setattr(files.os, "writev", lambda fd, pieces: original(fd, [b"".join(pieces)[:3]]))
    write_file(tmp_path, "x", bytes(range(100)))
    assert (tmp_path / "x").read_bytes() == bytes(range(100))
    file = NewFile(tmp_path, "y")
    for piece in (b"", b"ab", b"", b"cdefgh", b"i", b""):
        file.write(piece)
    file.publish("y")
    assert (tmp_path / "y").read_bytes() == b"abcdefghi"


@pytest.mark.parametrize(("together", "count"), [(0, 1000), (10, 250), (files.WRITE_BUFFER_BYTES, 4)])
def test_small_writes_wait_for_each_other(tmp_path, monkeypatch, calls, together, count):
    monkeypatch.setattr(files, "WRITE_BUFFER_BYTES", together)
    file = NewFile(tmp_path, "x")
    for number in range(1000):
        file.write(b"%03d" % number)
        assert file.size == 3 * number + 3
    file.publish("x")
    assert (tmp_path / "x").read_bytes() == b"".join(b"%03d" % number for number in range(1000))
    assert calls.count("writev") == count


def test_after_a_failed_write_it_is_gone(tmp_path, monkeypatch):
    file = NewFile(tmp_path, "x")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "writev", lambda fd, pieces: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="full"):
            file.write(bytes(files.WRITE_BUFFER_BYTES))
    assert os.listdir(tmp_path) == []
    other = NewFile(tmp_path, "x")  # which has the same temporary name
    other.write(b"half")
    for refused in (lambda: file.write(b"x"), lambda: file.publish("y"), file.finish):
        with pytest.raises(ValueError, match="is already discarded"):
            refused()
    file.discard()
    other.publish("x")
    assert (tmp_path / "x").read_bytes() == b"half" and os.listdir(tmp_path) == ["x"]
    later = NewFile(tmp_path, "x")
    other.discard()
    with pytest.raises(ValueError, match="is already published"):
        other.write(b"more")
    later.finish()
    with pytest.raises(ValueError, match="is already finished; cannot write"):
        later.write(b"more")
    later.publish("z")
    assert (tmp_path / "z").read_bytes() == b""


def test_the_disk_begins_before_the_end(tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(files, "start_writeback", lambda fd, start, size: begun.append((start, size)))
    file = NewFile(tmp_path, "x")
    for _ in range(20):
        file.write(bytes(1 << 20))
    assert begun == [(0, files.WRITEBACK_BYTES), (files.WRITEBACK_BYTES, files.WRITEBACK_BYTES)]
    assert file.publish("x").result().size == 20 << 20


def test_a_write_that_takes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "writev", lambda fd, pieces: 0)
    with pytest.raises(OSError, match="wrote none of 3 bytes"):
        write_file(tmp_path, "x", b"abc")
    assert os.listdir(tmp_path) == []


def test_many_at_once_do_not_meet(tmp_path):
    made = [NewFile(tmp_path, "x") for _ in range(20)]
    assert len({file.path for file in made}) == 20
    [file.discard() for file in made]


def test_leftovers_are_of_dead_writers_only(tmp_path):
    alive = NewFile(tmp_path, "mine")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        NewFile(tmp_path, "dead")
        os.write(write, b"%d" % owner.start_of(os.getpid()))
        os._exit(0)
    started = int(os.read(read, 100))
    os.waitpid(pid, 0)
    (tmp_path / ".tmp-odd").touch()
    (tmp_path / ".tmp-a-b-c").touch()
    assert [path.name for path in leftovers(tmp_path)] == [f".tmp-dead-{pid}.{started}.{owner.here_mark()}-0"]
    alive.discard()


def test_numbers_of_a_dead_writer_are_not_reused(tmp_path):
    """A leftover with this process's own number, of an earlier life of that number, is stepped over."""
    (tmp_path / temporary_name("x")).write_bytes(b"old")
    file = NewFile(tmp_path, "x")
    assert file.path.name.endswith("-1")
    file.discard()
    assert (tmp_path / temporary_name("x")).read_bytes() == b"old"


def test_an_interrupt_as_the_file_is_made(tmp_path, monkeypatch):
    make = os.open

    def interrupt(*args):
        os.close(make(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        NewFile(tmp_path, "00000")
    monkeypatch.undo()
    assert os.listdir(tmp_path) == []
