"""shuffle: the order to the row, the same bytes whatever the memory, splits, bounded memory, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import atlas_ds as atlas
from atlas_ds import AtlasDataset, AtlasDatasetWriter, errors
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import read_manifest
from atlas_ds.order import Permutation, keys
from atlas_ds.rewrite import shuffle as room
from atlas_ds.rewrite.shuffle import Shuffle
from atlas_ds.store.local import LocalStore
from support import child, rich_rows, same, tree, write

SMALL = "4KB"  # of memory: forces two passes with several buckets


def shuffled(tmp_path, source, name="out", **options):
    atlas.shuffle(source, tmp_path / name, **{"workers": 0} | options)
    assert [item.name for item in tmp_path.iterdir() if "shuffle" in item.name] == []
    return AtlasDataset(tmp_path / name)


@pytest.mark.parametrize("memory", ["1GB", SMALL])
@pytest.mark.parametrize("access", ["random", "scan"])
def test_every_type(tmp_path, memory, access):
    rows = rich_rows(100)
    source = write(tmp_path / "d", rows, shard_size=17, block_size=4, access=access, metadata={"a": [1]}, icc=["id", "text"])
    out = shuffled(tmp_path, source, seed=3, memory=memory, shard_size=30)
    order = Permutation(100, keys.PLACES, 3, 0).take(0, 100)
    assert same(list(out), [list(AtlasDataset(source))[i] for i in order]) and same(out[7], rows[order[7]])
    assert out.schema == AtlasDataset(source).schema and out.metadata == {"a": [1]}
    assert set(out.icc) == {"id", "text"} and len(out.shards) == 4
    assert not atlas.verify(tmp_path / "out").damages


@pytest.mark.parametrize("count", [0, 1, 2, 1000, 70_000])
def test_the_same_bytes_whatever_the_memory(tmp_path, count):
    """Above 65,536 rows a permutation is computed, below it is a table."""
    source = write(tmp_path / "d", range(count), schema="int64", shard_size=9999, icc=["value"])
    one = shuffled(tmp_path, source, "one", seed=2**64 - 1)
    order = Permutation(count, keys.PLACES, 2**64 - 1, 0).take(0, count)
    assert one.column("value").tolist() == order.tolist()
    memories = ["1KB", "3KB"] if count <= 1000 else ["100KB"]
    for memory in memories:
        shuffled(tmp_path, source, memory, seed=2**64 - 1, memory=memory, workers=2)
        assert tree(tmp_path / memory) == tree(tmp_path / "one")
    if count == 70_000:
        assert AtlasDataset(source).icc["value"] > 0.99 and one.icc["value"] < 0.01


@pytest.mark.parametrize("container", ["tuple", "value", "dict"])
def test_containers(tmp_path, container):
    rows = [{"tuple": (i, f"r{i}"), "value": f"r{i}", "dict": {"r": i}}[container] for i in range(50)]
    out = shuffled(tmp_path, write(tmp_path / "d", rows), memory="1KB")
    assert [out[i] for i in range(50)] == [rows[i] for i in Permutation(50, keys.PLACES, 0, 0).take(0, 50)]


def with_splits(path, rows, splits):
    write(path, range(rows), schema="int64", shard_size=37)
    store = LocalStore(path)
    standing, manifest = read_current(store).version, read_manifest(store)
    manifest.splits.update(splits)
    commit(store, manifest, expected=standing)
    return path


SPLITS = {
    "two": {"train": ((0, 80),), "test": ((80, 100),)},
    "rest": {"train": ((10, 30), (50, 60))},
    "overlapping": {"all": ((0, 100),), "train": ((0, 70),), "small": ((5, 9), (60, 75)), "none": ()},
    "many": {"even": tuple((i, i + 5) for i in range(0, 100, 10))},
}


@pytest.mark.parametrize("splits", SPLITS.values(), ids=SPLITS)
def test_rows_stay_in_their_splits(tmp_path, splits):
    source = with_splits(tmp_path / "d", 100, splits)
    out = shuffled(tmp_path, source, memory="1KB")
    values = out.column("value")
    assert sorted(values.tolist()) == list(range(100)) and (values != np.arange(100)).mean() > 0.7
    for name in splits:
        own = AtlasDataset(tmp_path / "out", split=name).column("value")
        assert sorted(own.tolist()) == AtlasDataset(source, split=name).column("value").tolist()
    assert read_manifest(LocalStore(tmp_path / "out")).splits == read_manifest(LocalStore(source)).splits
    shuffled(tmp_path, source, "direct")
    assert tree(tmp_path / "direct") == tree(tmp_path / "out")


def test_parts_are_permuted_by_number(tmp_path):
    order = Shuffle(100, {"a": ((40, 50), (70, 75)), "b": ((0, 10),)}, 5)
    rows = {0: [*range(10)], 1: [*range(10, 40), *range(50, 70), *range(75, 100)], 2: [*range(40, 50), *range(70, 75)]}
    wanted = np.empty(100, np.int64)
    for part, own in rows.items():
        wanted[own] = np.array(own)[Permutation(len(own), keys.PLACES, 5, part).take(0, len(own))]
    assert order.take(0, 100).tolist() == wanted.tolist() and order.take(33, 40).tolist() == wanted[33:73].tolist()
    assert order.find(0, 100)[wanted].tolist() == list(range(100)) and order.find(33, 40).tolist() == np.argsort(wanted)[33:73].tolist()


def test_seeds_differ(tmp_path):
    source = write(tmp_path / "d", range(1000))
    one, two = (shuffled(tmp_path, source, f"s{seed}", seed=seed).column("value") for seed in (0, 1))
    assert (one == two).mean() < 0.02


def test_one_file(tmp_path):
    source = write(tmp_path / "d", range(100))
    out = shuffled(tmp_path, next(source.glob("*.atlas")))
    assert sorted(out.column("value").tolist()) == list(range(100))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"memory": 1000}, ValueError, "'1GiB'"), ({"memory": "lots"}, ValueError, "memory"), ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"), ({"access": "no"}, ValueError, "access"),
    ],
)  # fmt: skip
def test_wrong_arguments(tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        atlas.shuffle(write(tmp_path / "d", range(3)), tmp_path / "out", **options)
    assert os.listdir(tmp_path) == ["d"]


def test_places_that_cannot_be(tmp_path):
    source = write(tmp_path / "d", range(30))
    with pytest.raises(errors.AtlasError, match="the same"):
        atlas.shuffle(source, source)
    with pytest.raises(errors.AtlasError, match="inside"):
        atlas.shuffle(source, source / "out")
    with pytest.raises(FileNotFoundError, match="none"):
        atlas.shuffle(tmp_path / "none", tmp_path / "out")
    write(tmp_path / "there", range(4))
    before = tree(tmp_path / "there")
    with pytest.raises(FileExistsError):
        atlas.shuffle(source, tmp_path / "there")
    assert tree(tmp_path / "there") == before and sorted(os.listdir(tmp_path)) == ["d", "there"]
    assert len(shuffled(tmp_path, source, "there", overwrite=True)) == 30


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("failure", [OSError("full"), KeyboardInterrupt()])
def test_failure_in_the_middle_leaves_nothing(tmp_path, monkeypatch, passes, failure):
    source = write(tmp_path / "d", range(1000), shard_size=100)
    copy, calls = room.copy, []

    def fail(*args):
        calls.append(args)
        if len(calls) == 3 * passes:
            raise failure
        copy(*args)

    monkeypatch.setattr(room, "copy", fail)
    write(tmp_path / "there", range(4))
    before = tree(tmp_path)
    for options in ({"dst": tmp_path / "out"}, {"dst": tmp_path / "there", "overwrite": True}):
        calls.clear()
        with pytest.raises(type(failure)):
            atlas.shuffle(source, memory="3KB", shard_size=10, workers=0, **options)
        assert tree(tmp_path) == before and sorted(os.listdir(tmp_path)) == ["d", "there"]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped(tmp_path, stop):
    source = write(tmp_path / "d", range(50_000))
    code = "import sys, atlas_ds; atlas_ds.shuffle(sys.argv[1], sys.argv[2], memory='30KB', shard_size=500, workers=0)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.Popen([sys.executable, "-c", code, source, tmp_path / "out"], env=environment, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob("*.atlas")):
        assert run.poll() is None
        time.sleep(0.005)
    run.send_signal(stop)
    assert run.wait() != 0
    visible = [path for path in tmp_path.rglob("atlas.json") if not any(part.startswith(".") for part in path.relative_to(tmp_path).parts)]
    assert visible == [source / "atlas.json"]
    hidden = [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert len(hidden) == (0 if stop == signal.SIGINT else 1)
    atlas.shuffle(source, tmp_path / "out", workers=0)
    assert len(AtlasDataset(tmp_path / "out")) == 50_000


MEMORY = """
import sys, threading
import atlas_ds

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024

done, peak = threading.Event(), 0

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

atlas_ds.shuffle(sys.argv[3], sys.argv[2] + "-warm", workers=0)
before = anonymous()
thread = threading.Thread(target=watch)
thread.start()
atlas_ds.shuffle(sys.argv[1], sys.argv[2], memory="8MB", shard_size="2MB", workers=0)
done.set()
thread.join()
print(peak - before)
"""


@pytest.mark.parametrize("row", [4000, 40])
def test_memory_is_bounded(tmp_path, row):
    """64 MB of large rows, 8 MB of small ones (whose cost is not their values): 8 MB are allowed, and the writers have buffers."""
    rng = np.random.default_rng(0)
    count = 16_000 if row == 4000 else 200_000
    with AtlasDatasetWriter(tmp_path / "d", shard_size="8MB", workers=0) as writer:
        for start in range(0, count, 1000):
            writer.add_batch({"id": np.arange(start, start + 1000), "x": rng.integers(0, 256, (1000, row), np.uint8)})
    warm = write(tmp_path / "warm", range(10))
    done = child(MEMORY, tmp_path / "d", tmp_path / "out", warm)
    assert int(done.stdout) < 16 << 20
    ids = AtlasDataset(tmp_path / "out").column("id")
    assert ids.tolist() == Permutation(count, keys.PLACES, 0, 0).take(0, count).tolist()


def test_cli(tmp_path, capsys):
    from atlas_ds.cli import main

    source = write(tmp_path / "d", range(100), icc=["value"])
    options = ["--seed", "5", "--memory", "1KB", "--shard-size", "30", "--block-size", "4", "--access", "scan"]
    assert main(["shuffle", str(source), str(tmp_path / "out"), *options]) == 0
    assert "100 rows in the order of seed 5" in capsys.readouterr().out
    out = AtlasDataset(Path(tmp_path / "out"))
    assert len(out.shards) == 4 and out.column("value").tolist() == Permutation(100, keys.PLACES, 5, 0).take(0, 100).tolist()
    assert main(["shuffle", str(source), str(tmp_path / "out"), "--json"]) == 1
    assert "a dataset already exists" in capsys.readouterr().err
    assert main(["shuffle", str(source), str(tmp_path / "out"), "--overwrite", "--json"]) == 0
    assert '"rows": 100, "seed": 0' in capsys.readouterr().out
