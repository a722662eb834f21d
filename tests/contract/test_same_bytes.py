"""The same rows give the same files: run after run, with any number of threads, and after a kill and a resume."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, verify
from support import child, rich_rows, same, tree, write

ROWS = 3000
WRITE = """
import sys, os
from support import rich_row
from atlas_ds import AtlasDatasetWriter
path, workers, kill_at, options = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
with AtlasDatasetWriter(path, shard_size=200, block_size=16, workers=workers, **options) as writer:
    for i in range(writer.position, 1500):
        if i == kill_at:
            os.kill(os.getpid(), 9)
        writer.add_example(rich_row(i))
"""


@pytest.mark.parametrize("options", [{}, {"access": "scan"}, {"shard_size": "100KB"}, {"dictionary": "shard"}], ids=str)
def test_any_number_of_workers(tmp_path, options):
    rows = rich_rows(800)
    options = {"shard_size": 300} | options
    trees = [tree(write(tmp_path / str(k), rows, workers=workers, **options)) for k, workers in enumerate((0, 1, 4, 4))]
    assert trees[0] == trees[1] == trees[2] == trees[3] and len(trees[0]) > 2


def test_another_process_and_hash_seed(tmp_path):
    for name, seed in (("a", "1"), ("b", "2")):
        os.environ["PYTHONHASHSEED"] = seed
        try:
            child(WRITE, tmp_path / name, 2, -1, {})
        finally:
            del os.environ["PYTHONHASHSEED"]
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_batches_give_the_bytes_of_examples(tmp_path):
    schema = {"i": int, "s": str}
    write(tmp_path / "a", [{"i": i, "s": f"row {i}"} for i in range(ROWS)], schema=schema, shard_size=700, block_size=64)
    for step in (1, 999, ROWS):
        with AtlasDatasetWriter(tmp_path / str(step), schema=schema, shard_size=700, block_size=64, workers=0) as writer:
            for start in range(0, ROWS, step):
                part = range(start, min(start + step, ROWS))
                writer.add_batch({"i": list(part), "s": [f"row {i}" for i in part]})
        assert tree(tmp_path / str(step)) == tree(tmp_path / "a")


@pytest.mark.parametrize("kill_at", [1100, 1250, 1499])
def test_resume_after_a_kill(tmp_path, kill_at):
    child(WRITE, tmp_path / "whole", 0, -1, {})
    done = child(WRITE, tmp_path / "d", 0, kill_at, {}, check=False)
    assert done.returncode == -signal.SIGKILL and not (tmp_path / "d" / "atlas.json").exists()
    with pytest.raises(FileNotFoundError, match="resume=True"):
        AtlasDataset(tmp_path / "d")
    child(WRITE, tmp_path / "d", 0, -1, {"resume": True})
    assert tree(tmp_path / "d") == tree(tmp_path / "whole")


def test_resume_with_a_torn_journal(tmp_path):
    """The journal only grows, and may end at any byte: what it does not tell is written again."""
    options = {"schema": int, "shard_size": 10, "workers": 0}
    whole = tree(write(tmp_path / "whole", range(45), **options))
    journal, before = tmp_path / "killed" / ".writing.json", b""
    writer = AtlasDatasetWriter(tmp_path / "killed", **options)
    for start in range(0, 40, 10):
        writer.extend(range(start, start + 10))
        assert journal.read_bytes().startswith(before) and journal.read_bytes().count(b"\n") == start // 10 + 3
        before = journal.read_bytes()
    for size in range(len(before) + 1):
        path = tmp_path / "d"
        shutil.copytree(tmp_path / "killed", path, ignore=shutil.ignore_patterns(".tmp-*"))
        os.truncate(path / ".writing.json", size)
        with AtlasDatasetWriter(path, resume=True, **options) as resumed:
            assert resumed.position == 10 * max(before[:size].count(b"\n") - 2, 0)
            resumed.extend(range(resumed.position, 45))
        assert tree(path) == whole, size
        shutil.rmtree(path)
    writer.abort()


def test_resume_again_and_again(tmp_path):
    child(WRITE, tmp_path / "whole", 2, -1, {})
    for kill_at in (10, 1100, 1100, 1205, 1206, 1450):
        assert child(WRITE, tmp_path / "d", 2, kill_at, {"resume": True}, check=False).returncode == -signal.SIGKILL
    child(WRITE, tmp_path / "d", 2, -1, {"resume": True})
    assert tree(tmp_path / "d") == tree(tmp_path / "whole")


def test_resume_of_an_append(tmp_path):
    """The writer that is resumed was adding to a dataset: that stays, and what was added is completed."""
    rows = rich_rows(1500)
    for name in ("whole", "d"):
        write(tmp_path / name, rows[:50])
    append = WRITE.replace("range(writer.position, 1500)", "range(50 + writer.position, 1500)")
    child(append, tmp_path / "whole", 0, -1, {"append": True})
    assert child(append, tmp_path / "d", 0, 1300, {"append": True}, check=False).returncode == -signal.SIGKILL
    assert len(AtlasDataset(tmp_path / "d")) == 50
    child(append, tmp_path / "d", 0, -1, {"resume": True})
    assert tree(tmp_path / "d") == tree(tmp_path / "whole") and same(list(AtlasDataset(tmp_path / "d")), rows)


def test_a_new_writer_after_a_kill_starts_anew(tmp_path):
    assert child(WRITE, tmp_path / "d", 0, 1300, {}, check=False).returncode == -signal.SIGKILL
    child(WRITE, tmp_path / "d", 0, -1, {})
    child(WRITE, tmp_path / "whole", 0, -1, {})
    left = {name: data for name, data in tree(tmp_path / "d").items() if not name.startswith(".tmp-")}
    assert left == tree(tmp_path / "whole")


def test_a_finished_dataset_resumed_adds_nothing_of_its_own(tmp_path):
    write(tmp_path / "d", range(10))
    with AtlasDatasetWriter(tmp_path / "d", resume=True, workers=0) as writer:
        assert writer.position == 0
    assert list(AtlasDataset(tmp_path / "d")) == list(range(10))


def killed_at_random(tmp_path: Path, runs: int, seed: int) -> None:
    """SIGKILL from outside while shards are written; the old rows stay readable, and a resume completes the new ones."""
    import random

    choose = random.Random(seed)
    child(WRITE, tmp_path / "whole", 2, -1, {})
    whole = tree(tmp_path / "whole")
    code = WRITE.replace("for i in", "print('go', flush=True)\n    for i in")
    for run in range(runs):
        path = tmp_path / f"d{run}"
        for _ in range(3):
            env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])}
            process = subprocess.Popen([sys.executable, "-c", code, str(path), "2", "-1", "{'resume': True}"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(choose.random() * 0.5)
            process.kill()
            process.wait()
            process.stdout.close()
            if (path / "atlas.json").exists():
                break
            for name in os.listdir(path) if path.exists() else ():
                assert not name.endswith(".atlas") or verify(path / name).damages == []
        if not (path / "atlas.json").exists():
            child(WRITE, path, 2, -1, {"resume": True})
        left = {name: data for name, data in tree(path).items() if not name.startswith(".")}
        assert left == whole
        for name in os.listdir(path):
            os.unlink(path / name)


def test_killed_at_random(tmp_path):
    killed_at_random(tmp_path, 8, 0)


@pytest.mark.campaign
def test_killed_at_random_at_length(tmp_path):
    killed_at_random(tmp_path, int(os.environ.get("ATLAS_CAMPAIGN_KILLS", "1000")) // 3 + 1, 1)
