"""Writers that meet on one path: who may be beside whom, whose rows become part of what, and that nobody takes away what another made."""

import errno
import fcntl
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors, merge_parts, verify
from atlas_ds.dataset import journal
from atlas_ds.dataset.journal import STRIDE
from atlas_ds.store.local import LocalStore
from atlas_ds.store.owner import this_process
from support import child, tree, write

PLAIN = {"schema": int, "shard_size": 10, "workers": 0}
MODES = {"create": {}, "append": {"append": True}, "overwrite": {"overwrite": True}, "resume": {"resume": True}}


@pytest.fixture(params=["flock", "no flock"])
def locks(request, monkeypatch):
    if request.param == "no flock":

        def refuse(*args):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


def writer(path, **options):
    return AtlasDatasetWriter(path, **PLAIN | options)


@pytest.mark.parametrize("second", MODES)
@pytest.mark.parametrize("first", ["create", "append", "overwrite", "resume"])
@pytest.mark.parametrize("exists", [False, True], ids=["new", "exists"])
def test_pairs(tmp_path, locks, exists, first, second):
    path = tmp_path / "d"
    if exists:
        write(path, range(5), schema=int)
    if exists and "create" in (first, second):
        with pytest.raises(FileExistsError):
            writer(path)
        return
    one = writer(path, **MODES[first])
    fresh = first != "resume" or not exists  # nothing is to be resumed: the dataset is finished
    if fresh:
        one.extend(range(100, 125))
    before = tree(path)
    if first == second == "append":
        other = writer(path, append=True)
        other.extend(range(200, 215))
        other.close()
        one.close()
        assert list(AtlasDataset(path)) == [*(range(5) if exists else ()), *range(200, 215), *range(100, 125)]
    else:
        with pytest.raises(errors.WriterBusy, match=f"process {os.getpid()} on .*since 20.*this process.*mode") as caught:
            writer(path, **MODES[second])
        assert isinstance(caught.value, FileExistsError) and str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert tree(path) == before
        one.close()
        old = range(5) if exists and first != "overwrite" else ()
        assert list(AtlasDataset(path)) == [*old, *(range(100, 125) if fresh else ())]
    assert verify(path).damages == [] and not list(path.glob(".writing*")) and not list(path.glob(".tmp-*"))


def test_the_path_is_free_again(tmp_path, locks):
    path = tmp_path / "d"
    one = writer(path)
    one.extend(range(25))
    one.abort()
    assert not path.exists()
    with writer(path) as two:
        two.extend(range(25))
    with writer(path, overwrite=True) as three:
        three.extend(range(3))
    assert list(AtlasDataset(path)) == [0, 1, 2]


def test_a_writer_that_is_killed_gives_the_path_free(tmp_path):
    code = "import sys, os; from atlas_ds import AtlasDatasetWriter; w = AtlasDatasetWriter(sys.argv[1], schema=int, shard_size=10, workers=0, **eval(sys.argv[2])); w.extend(range(25)); os.kill(os.getpid(), 9)"
    for number, options in enumerate(({}, {"overwrite": True}, {"append": True})):
        path = tmp_path / str(number)
        if options:
            write(path, [7], schema=int)
        assert child(code, path, options, check=False).returncode == -signal.SIGKILL
        with writer(path, overwrite=True) as other:
            other.extend(range(3))
        assert list(AtlasDataset(path)) == [0, 1, 2] and sorted(name for name in os.listdir(path) if not name.startswith(".atlas.lock")) == sorted([AtlasDataset(path).shards[0].path, "atlas.json"])


def test_another_process_is_named(tmp_path, locks):
    code = "import sys; from atlas_ds import AtlasDatasetWriter; w = AtlasDatasetWriter(sys.argv[1], schema=int); print('ready', flush=True); sys.stdin.read()"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, tmp_path / "d"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(errors.WriterBusy, match=rf"process {process.pid} on {os.uname().nodename}, since .* UTC, mode create"):
        writer(tmp_path / "d")
    process.communicate()
    writer(tmp_path / "d").abort()


def foreign(path, **changes):
    """Makes the journal of a writer look like that of a process elsewhere."""
    file = path / ".writing.json"
    head, *lines = file.read_bytes().splitlines(True)
    head = json.loads(head)
    head["owner"] = replace(this_process(), **changes).to_json()
    file.write_bytes(json.dumps(head).encode() + b"\n" + b"".join(lines))


@pytest.mark.parametrize(("changes", "kind", "busy"), [
    ({"host": "h", "boot": "b", "space": "s"}, "ext4", False),
    ({"space": "s"}, "ext4", False),
    ({"host": "h", "boot": "b", "space": "s"}, "nfs4", True),
    ({"boot": "b"}, "nfs4", False),
], ids=["other host, local disk", "other container", "other host, nfs", "rebooted, nfs"])  # fmt: skip
def test_proof_that_a_writer_elsewhere_has_ended(tmp_path, monkeypatch, changes, kind, busy):
    """Its lock is free, on a disk whose locks reach all who can write there; or it ran on this machine before its last boot."""
    one = writer(tmp_path / "d")
    one.extend(range(25))
    foreign(tmp_path / "d", **changes)
    monkeypatch.setattr("atlas_ds.store.lock._kind_of", lambda path: kind)
    one._output.journal.close()  # the kernel does as much when its process ends
    if busy:
        with pytest.raises(errors.WriterBusy, match=r"If you are certain that its process is gone, delete .writing.json"):
            writer(tmp_path / "d", resume=True)
    else:
        with writer(tmp_path / "d", resume=True) as other:
            assert other.position == 20
    one._state = "closed"
    one._unclosed.detach()


def test_a_lock_that_is_held_elsewhere(tmp_path):
    one = writer(tmp_path / "d")
    foreign(tmp_path / "d", host="h", boot="b", space="s")
    with pytest.raises(errors.WriterBusy):
        writer(tmp_path / "d")
    one.abort()


def test_a_copied_folder_is_not_busy(tmp_path):
    """The copy's journal names a process that is alive; but it is not at work there."""
    import shutil

    one = writer(tmp_path / "d")
    one.extend(range(25))
    shutil.copytree(tmp_path / "d", tmp_path / "copy")
    with writer(tmp_path / "copy", resume=True) as other:
        other.extend(range(other.position, 25))
    one.close()
    assert tree(tmp_path / "copy") == tree(tmp_path / "d")


def test_a_writer_that_ends_while_it_is_looked_at(tmp_path, monkeypatch):
    """Its journal was read before it had finished a shard; it finished some, and was killed, before anybody asked whether it is at work."""
    path = write(tmp_path / "d", range(5), schema=int)
    one = writer(path, append=True)
    at_work = journal._at_work

    def meanwhile(store, name, head, lines):
        if one._state == "open":
            one.extend(range(25))
            one._output.journal.leave()
            one._end("killed")
        return at_work(store, name, head, lines)

    monkeypatch.setattr(journal, "_at_work", meanwhile)
    writer(path, append=True).abort()
    with writer(path, resume=True) as other:
        assert other.position == 20
    assert list(AtlasDataset(path)) == [*range(5), *range(20)]


# --- appenders ---


def test_many_appenders(tmp_path, locks):
    path = write(tmp_path / "d", range(5), schema=int)
    ones = [writer(path, append=True) for _ in range(6)]
    for k, one in enumerate(ones):
        one.extend(range(100 * k, 100 * k + 25))
    for k in (3, 0, 5, 1):
        ones[k].close()
    ones[2].abort()
    with pytest.raises(errors.WriterBusy):
        writer(path, overwrite=True)
    ones[4].close()
    assert list(AtlasDataset(path)) == [*range(5), *(100 * k + i for k in (3, 0, 5, 1, 4) for i in range(25))]
    assert verify(path).damages == [] and len(list(path.glob("*.atlas"))) == 16 and not list(path.glob(".writing*"))


def test_appenders_of_the_same_rows(tmp_path):
    """Equal rows at equal places would be files of one name: their ordinals are apart, so nobody takes another's away."""
    path = write(tmp_path / "d", range(5), schema=int)
    one, two, three = (writer(path, append=True) for _ in range(3))
    for each in (one, two, three):
        each.extend(range(20))
    one.close()
    three.abort()
    two.close()
    assert list(AtlasDataset(path)) == [*range(5), *range(20), *range(20)] and verify(path).damages == []
    assert [int(shard.path.partition("-")[0]) // STRIDE for shard in AtlasDataset(path).shards] == [0, 0, 0, 1, 1]
    with writer(path, append=True) as four:
        four.extend(range(20))
    assert [int(shard.path.partition("-")[0]) for shard in AtlasDataset(path).shards[-2:]] == [5, 6] and len(AtlasDataset(path)) == 65


def test_a_lone_appender_gives_the_bytes_it_always_gave(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, range(5), schema=int)
        with writer(tmp_path / name, append=True) as one:
            one.extend(range(20))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_splits_and_metadata_of_appenders(tmp_path):
    path = tmp_path / "d"
    with writer(path, metadata={"a": 1}) as base:
        base.add_example(0, split="train")
    one, two = writer(path, append=True), writer(path, append=True, metadata={"b": 2})
    one.extend([1, 2], split="train")
    two.extend([3], split="train")
    two.extend([4], split="test")
    one.close()
    assert AtlasDataset(path).metadata == {"a": 1}
    two.close()
    ds = AtlasDataset(path)
    assert list(AtlasDataset(path, split="train")) == [0, 1, 2, 3] and list(AtlasDataset(path, split="test")) == [4] and ds.metadata == {"b": 2}


def test_first_rows_by_two_appenders(tmp_path):
    one, two = writer(tmp_path / "d", append=True), writer(tmp_path / "d", append=True)
    one.add_example(1)
    two.add_example(2)
    two.close()
    one.close()
    assert list(AtlasDataset(tmp_path / "d")) == [2, 1]


def test_columns_that_do_not_fit(tmp_path):
    """CommitConflict; the finished shards stay, with a journal that names them, until somebody decides."""
    path = tmp_path / "d"
    one, two = AtlasDatasetWriter(path, 10, append=True, schema={"x": int}), AtlasDatasetWriter(path, 10, append=True, schema={"x": float})
    one.extend({"x": i} for i in range(25))
    two.extend({"x": i / 2} for i in range(25))
    one.close()
    with pytest.raises(errors.CommitConflict, match=r"other columns.*(?s:.*)keeps 25 rows in 3 finished shards: continue with resume=True") as caught:
        two.close()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert [row["x"] for row in AtlasDataset(path)] == list(range(25))
    left = [file for file in path.glob("*.atlas") if file.name not in {shard.path for shard in AtlasDataset(path).shards}]
    assert sorted(row["x"] for file in left for row in AtlasDataset(file)) == [i / 2 for i in range(25)]
    with AtlasDatasetWriter(path, append=True) as three:
        three.add_example({"x": 99})
    assert all(file.exists() for file in left) and list(path.glob(".writing-*.json"))


def test_a_dataset_that_was_taken_away_or_replaced(tmp_path, monkeypatch):
    path = write(tmp_path / "d", range(5), schema=int)
    one = writer(path, append=True)
    one.extend(range(25))
    (path / "atlas.json").unlink()
    with pytest.raises(errors.CommitConflict, match="removed the dataset"):
        one.close()
    path = write(tmp_path / "e", range(5), schema=int)
    two = writer(path, overwrite=True)
    two.extend(range(25))
    monkeypatch.setattr(journal, "refuse_busy", lambda *args, **options: None)
    monkeypatch.setattr("atlas_ds.dataset.output.refuse_busy", lambda *args, **options: None)
    write(path, [8], schema=int, append=True)
    with pytest.raises(errors.CommitConflict, match="published a dataset here"):
        two.close()
    assert list(AtlasDataset(path)) == [*range(5), 8]


def test_threads_that_append(tmp_path, locks):
    path = write(tmp_path / "d", [], schema=int)
    failures = []

    def work(k):
        try:
            with writer(path, append=True) as one:
                one.extend(range(100 * k, 100 * k + 15))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures and sorted(AtlasDataset(path)) == [100 * k + i for k in range(8) for i in range(15)]


# --- processes ---


def test_a_forked_writer_refuses(tmp_path):
    one = writer(tmp_path / "d", workers=2)
    one.extend(range(15))
    read, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = []
        for attempt in (lambda: one.add_example(1), lambda: one.add_batch([1]), one.close, one.abort):
            try:
                attempt()
                said.append("")
            except RuntimeError as error:
                said.append(str(error))
        os.write(report, json.dumps(said).encode())
        del one
        gc.collect()
        os._exit(0)
    os.close(report)
    with os.fdopen(read) as file:
        said = json.load(file)
    os.waitpid(pid, 0)
    assert ["belongs to the process" in text for text in said] == [True, True, True, False]
    one.extend(range(15, 20))
    one.close()
    assert list(AtlasDataset(tmp_path / "d")) == list(range(20))


def test_a_child_does_not_hold_the_path(tmp_path):
    """A worker that was forked while a writer was open lives on after its parent was killed."""
    code = """
import os, sys, time
from atlas_ds import AtlasDatasetWriter
w = AtlasDatasetWriter(sys.argv[1], schema=int, shard_size=10, workers=0)
w.extend(range(25))
pid = os.fork()
if pid == 0:
    os.close(1); os.close(2)
    time.sleep(30)
    os._exit(0)
print(pid, flush=True)
os.kill(os.getpid(), 9)
"""
    done = child(code, tmp_path / "d", check=False)
    try:
        with writer(tmp_path / "d", resume=True) as other:
            assert other.position == 20
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


@pytest.mark.parametrize("finished", [False, True])
def test_a_writer_that_is_collected_warns(tmp_path, finished):
    one = writer(tmp_path / "d")
    one.extend(range(25 if finished else 5))
    with pytest.warns(ResourceWarning, match="never closed.*20 rows in finished shards are kept: continue with resume=True" if finished else "never closed, so nothing was published. Use"):
        del one
        gc.collect()
    with writer(tmp_path / "d", resume=True) as other:
        assert other.position == (20 if finished else 0)
        other.extend(range(other.position, 25))
    assert list(AtlasDataset(tmp_path / "d")) == list(range(25))


def test_at_the_end_of_the_program(tmp_path):
    code = "import sys; import atlas_ds as a; w = a.AtlasDatasetWriter(sys.argv[1], shard_size=100); w.extend({'y': i} for i in range(5000))"
    done = subprocess.run([sys.executable, "-W", "always", "-c", code, tmp_path / "d"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0 and "ResourceWarning" in done.stderr and "rows in finished shards are kept" in done.stderr
    with AtlasDatasetWriter(tmp_path / "d", shard_size=100, resume=True) as other:
        assert other.position >= 4900


def test_closed_writers_do_not_warn(tmp_path, recwarn):
    writer(tmp_path / "a").close()
    writer(tmp_path / "b").abort()
    gc.collect()
    assert not [one for one in recwarn if issubclass(one.category, ResourceWarning)]


# --- parts ---


def test_parts_without_a_gap(tmp_path):
    for k in (0, 2, 100_000):
        write(tmp_path / "d", [k], part=k, schema=int)
    with pytest.raises(FileNotFoundError, match=r"of parts 0 to 100000 these are missing: 1, 3, 4.*\.\.\."):
        merge_parts(tmp_path / "d")
    for k in (-1, 10**9):
        with pytest.raises(ValueError, match="part="):
            writer(tmp_path / "d", part=k)
    for k in (True, 1.0, "1"):
        with pytest.raises(TypeError, match="part="):
            writer(tmp_path / "d", part=k)


def test_parts_in_the_order_of_their_numbers(tmp_path):
    """Not of their names: 100000 sorts before 99999."""
    for k in range(3):
        write(tmp_path / "d", [k], part=k, schema=int)
    parts = tmp_path / "d" / ".parts"
    (parts / "00002").rename(parts / "0000000002")
    (parts / "notes").mkdir()
    merge_parts(tmp_path / "d")
    assert list(AtlasDataset(tmp_path / "d")) == [0, 1, 2]


def test_counted_parts(tmp_path):
    for k in range(2):
        write(tmp_path / "d", [k], part=k, schema=int)
    with pytest.raises(FileNotFoundError, match="of parts 0 to 2 these are missing: 2"):
        merge_parts(tmp_path / "d", count=3)
    with pytest.raises(ValueError, match="count=1, but 2 parts exist"):
        merge_parts(tmp_path / "d", count=1)
    merge_parts(tmp_path / "d", count=2)
    assert list(AtlasDataset(tmp_path / "d")) == [0, 1]


def test_parts_that_are_still_written(tmp_path):
    write(tmp_path / "d", [0], part=0, schema=int)
    one = writer(tmp_path / "d", part=1)
    with pytest.raises(errors.WriterBusy):
        merge_parts(tmp_path / "d")
    one.add_example(1)
    one.close()
    beside = writer(tmp_path / "d", append=True)
    with pytest.raises(errors.WriterBusy):
        merge_parts(tmp_path / "d")
    beside.abort()
    merge_parts(tmp_path / "d")
    assert list(AtlasDataset(tmp_path / "d")) == [0, 1]


def test_parts_that_were_half_removed(tmp_path, monkeypatch):
    """Interrupted after the dataset was published: what is left of the parts must not be joined again."""
    from atlas_ds.dataset import parts

    for k in range(4):
        write(tmp_path / "d", range(10 * k, 10 * k + 10), part=k, schema=int)
    remove_part = parts.remove_part

    def interrupted(part):
        remove_part(LocalStore(part.folder.parent / "00003"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(parts, "remove_part", interrupted)
        merge_parts(tmp_path / "d")
    with pytest.raises(FileNotFoundError, match="no parts found"):
        merge_parts(tmp_path / "d", overwrite=True)
    assert list(AtlasDataset(tmp_path / "d")) == list(range(40))
    write(tmp_path / "d", [1], part=0, schema=int)
    merge_parts(tmp_path / "d", overwrite=True)
    assert list(AtlasDataset(tmp_path / "d")) == [1] and not list((tmp_path / "d").glob(".tmp-*"))


def test_a_part_that_comes_while_parts_are_joined(tmp_path, monkeypatch):
    from atlas_ds.dataset import parts

    for k in range(2):
        write(tmp_path / "d", [k], part=k, schema=int)
    join, late = parts.copy_part_shards, []

    def meanwhile(*args):
        late.append(writer(tmp_path / "d", part=2))
        return join(*args)

    with monkeypatch.context() as patch, pytest.raises(errors.WriterBusy, match="a part was added"):
        patch.setattr(parts, "copy_part_shards", meanwhile)
        merge_parts(tmp_path / "d")
    late[0].add_example(2)
    late[0].close()
    merge_parts(tmp_path / "d")
    assert list(AtlasDataset(tmp_path / "d")) == [0, 1, 2]


def test_a_process_that_was_forked_inside_the_lock(tmp_path):
    """It has the locked file, too, and lives on."""
    from atlas_ds.store.lock import locked, try_flock

    with locked(tmp_path):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
    try:
        fd = os.open(tmp_path / ".atlas.lock", os.O_RDWR)
        assert try_flock(fd) is True
        os.close(fd)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
