"""A writer whose N-th write, fsync, rename or unlink fails, is short, or is its last: what stands in the folder stays good."""

import errno
import gc
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter
from atlas_ds.shard import verify_shard
from support import fd_count, rich_rows, same, write

CALLS = ("writev", "fsync", "replace", "unlink")
OLD, NEW = rich_rows(10), rich_rows(40)[10:]


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_earlier_tests():
    """What they left in cycles would be counted as descriptors given back, when a child collects it."""
    gc.collect()
    gc.freeze()  # so that each child's collection is quick
    yield
    gc.unfreeze()


class Faults:
    """Stands between the writer and the system. Counts the calls; from number `at` on does what `mode` says."""

    def __init__(self, mode: str, at: int) -> None:
        self.mode, self.at, self.count, self.fsync_failed = mode, at, 0, False
        for name in CALLS:
            setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, original):
        def call(*args, **kwargs):
            self.count += 1
            hit = self.count == self.at or (self.count > self.at and self.mode.endswith("forever"))
            if hit and self.mode == "kill before":
                os.kill(os.getpid(), signal.SIGKILL)
            if hit and self.mode.startswith(("EIO", "ENOSPC", "EINTR")):
                self.fsync_failed |= name == "fsync"
                code = getattr(errno, self.mode.split()[0])
                raise OSError(code, os.strerror(code))
            if name == "writev" and hit and self.mode.startswith("short"):
                data = b"".join(args[1])
                return original(args[0], [data[: max(1, len(data) // 3)]])
            try:
                return original(*args, **kwargs)
            finally:
                if hit and self.mode == "kill after":
                    os.kill(os.getpid(), signal.SIGKILL)

        return call


def attempt(path: Path, mode: str, at: int, options: dict) -> dict:
    """Runs the writer with a fault in a child; what came of it."""
    read, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        before = fd_count()
        faults = Faults(mode, at)
        try:
            write(path, NEW, shard_size=13, block_size=4, **options)
            outcome = "ok"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        gc.collect()  # an error's traceback may hold frames in a cycle, and these a mapping
        done = {"outcome": outcome, "count": faults.count, "leaked": fd_count() - before, "fsync_failed": faults.fsync_failed}
        faults.at = 1 << 60
        faults.mode = ""
        os.write(report, json.dumps(done).encode())
        os._exit(0)
    os.close(report)
    with os.fdopen(read, "rb") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return {"outcome": "killed", "count": 0, "leaked": 0, "fsync_failed": False}
    return json.loads(text)


def standing(path: Path, where: str) -> str:
    """Which rows are visible: "old" or "new"; everything the manifest names must verify."""
    report = atlas.verify(path)
    assert report.damages == [], (where, report.damages)
    rows = list(AtlasDataset(path))
    for file in path.glob("*.atlas"):
        verify_shard(file)
    if same(rows, OLD):
        return "old"
    assert same(rows, OLD + NEW) or same(rows, NEW), where
    return "new"


MODES = ["EIO once", "EIO forever", "ENOSPC forever", "EINTR once", "short once", "short forever", "kill before", "kill after"]


@pytest.mark.parametrize("options", [{"append": True}, {"overwrite": True}], ids=["append", "overwrite"])
@pytest.mark.parametrize("mode", MODES)
def test_every_call(tmp_path, mode, options):
    old = write(tmp_path / "old", OLD, shard_size=6)
    path = Path(shutil.copytree(old, tmp_path / "d"))
    total = attempt(path, "none", 1 << 60, options)["count"]
    assert total > 40
    for at in [1] if mode == "short forever" else range(1, total + 1):
        shutil.rmtree(path)
        shutil.copytree(old, path)
        result = attempt(path, mode, at, options)
        where = f"{mode} at call {at} of {total}: {result}"
        state = standing(path, where)
        if mode.startswith("kill"):
            assert result["outcome"] == "killed", where
            if state == "old" and at % 7 == 0:
                write(path, NEW, append=True)
                assert same(list(AtlasDataset(path)), OLD + NEW), where
        else:
            assert result["leaked"] == 0, where
            assert (result["outcome"] == "ok") <= (state == "new" and not result["fsync_failed"]), where
            assert not mode.startswith("short") or result["outcome"] == "ok", where


def test_a_failed_write_of_a_new_dataset_leaves_no_dataset(tmp_path):
    for at in range(1, 40, 3):
        result = attempt(tmp_path / str(at), "EIO forever", at, {})
        assert "Input/output error" in result["outcome"] and result["leaked"] == 0
        with pytest.raises(FileNotFoundError):
            AtlasDataset(tmp_path / str(at))


def test_a_reader_that_is_open_never_notices(tmp_path):
    path = write(tmp_path / "d", OLD, shard_size=6)
    reader = AtlasDataset(path)
    for at in (3, 20, 33):
        attempt(path, "kill after", at, {"append": True})
        assert same(list(reader), OLD)


def test_leftovers_of_the_killed_are_taken_away_by_resume(tmp_path):
    path = write(tmp_path / "d", OLD, shard_size=6)
    assert attempt(path, "kill before", 12, {"append": True})["outcome"] == "killed"
    assert list(path.glob(".tmp-*"))
    with AtlasDatasetWriter(path, resume=True, shard_size=13, block_size=4, workers=0) as writer:
        writer.extend(NEW[writer.position :])
    assert same(list(AtlasDataset(path)), OLD + NEW) and not list(path.glob(".tmp-*")) and not (path / ".writing.json").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), MemoryError(), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["writev", "encode"])
def test_a_writer_that_failed_publishes_nothing(tmp_path, monkeypatch, error, where):
    """Once, inside of a shard; the caller goes on with the next example, and closes."""
    from atlas_ds.shard import build
    from atlas_ds.shard import writer as module
    from atlas_ds.store import files

    target, name = (files.os, "writev") if where == "writev" else (module._core, "encode_all")
    real, calls = getattr(target, name), iter(range(1000))

    def failing(*args):
        if next(calls) == 5:
            raise error
        return real(*args)

    writer = AtlasDatasetWriter(tmp_path / "d", schema={"raw": "bytes"}, block_size=4, compression="none", workers=0)
    failures = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "SAMPLE_BYTES", 1000)
        patch.setattr(build, "MAX_JOINT_BLOCKS", 2)
        patch.setattr(target, name, failing)
        for number in range(4000):
            try:
                writer.add_example({"raw": b"%0100d" % number})
            except (Exception, KeyboardInterrupt) as found:
                failures.append(found)
    assert failures[0] is error and len(failures) > 100 and "write the dataset again" in str(failures[1])
    with pytest.raises(atlas.errors.AtlasError, match="write the dataset again"):
        writer.close()
    assert not list((tmp_path).rglob("*.atlas")) and not (tmp_path / "d" / "atlas.json").exists()
