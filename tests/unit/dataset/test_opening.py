"""Datasets that change while somebody has them open or pickled, and datasets of more shards than a process may open files."""

import os
import pickle
import shutil
from pathlib import Path

import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Loader, concat, merge_parts
from atlas_ds.dataset.commit import commit, read_current
from atlas_ds.dataset.manifest import read_manifest
from atlas_ds.errors import CorruptError, DatasetChanged
from atlas_ds.store import descriptors
from atlas_ds.store.local import LocalStore
from support import child, write

IO = pytest.mark.parametrize("io", ["mmap", "pread"])


def numbers(start, stop):
    return [{"y": i, "blob": bytes([i % 256]) * 300} for i in range(start, stop)]


def even_y(example):
    return {"y": 2 * example["y"]}


def ys(dataset):
    return [example["y"] for example in dataset]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "d", numbers(0, 60), shard_size=10, block_size=4)


# --- pickled datasets ---


def even(example):
    return example["y"] % 2 == 0


@IO
def test_after_an_append_a_pickled_dataset_has_the_rows_it_had(path, io):
    ds = AtlasDataset(path, io=io)
    whole, view = pickle.dumps(ds), pickle.dumps(ds[50:5:-3])
    mapped, split, joined = pickle.dumps(ds.map(even)), pickle.dumps(ds.split([0.5, 0.5], seed=3)), pickle.dumps(concat([ds[10:20], ds]))
    write(path, numbers(60, 90), append=True, shard_size=10)
    again = pickle.loads(whole)
    assert ys(again) == list(range(60)) and len(again) == 60 and again.stats()["rows"] == 60 and len(again.shards) == 6
    assert again.fingerprint == ds.fingerprint != AtlasDataset(path).fingerprint
    assert again.column("y").tolist() == list(range(60)) and again.schema == ds.schema
    with pytest.raises(IndexError):
        again[60]
    assert ys(pickle.loads(view)) == list(range(50, 5, -3)) and list(pickle.loads(mapped)) == [i % 2 == 0 for i in range(60)]
    assert [ys(part) for part in pickle.loads(split)] == [ys(part) for part in ds.split([0.5, 0.5], seed=3)]
    assert ys(pickle.loads(joined)) == [*range(10, 20), *range(60)]
    assert ys(pickle.loads(pickle.dumps(again))) == list(range(60))  # pickled once more, it is the same


def test_splits_are_those_of_the_rows_it_had(tmp_path):
    with AtlasDatasetWriter(tmp_path / "d", shard_size=10, workers=0) as writer:
        writer.extend(numbers(0, 30), split="train")
        writer.extend(numbers(30, 40), split="test")
    ds = AtlasDataset(tmp_path / "d")
    states = [pickle.dumps(ds), pickle.dumps(AtlasDataset(tmp_path / "d", split="test"))]
    with AtlasDatasetWriter(tmp_path / "d", append=True, shard_size=10, workers=0) as writer:
        writer.extend(numbers(40, 70), split="train")
        writer.extend(numbers(70, 75), split="more")
    assert AtlasDataset(tmp_path / "d").splits == {"train": 60, "test": 10, "more": 5}
    again, test = map(pickle.loads, states)
    assert again.splits == ds.splits == {"train": 30, "test": 10} and ys(test) == list(range(30, 40))


def test_an_empty_dataset_stays_empty(tmp_path):
    state = pickle.dumps(AtlasDataset(write(tmp_path / "d", [], schema={"y": "int64"})))
    write(tmp_path / "d", [{"y": 1}], append=True)
    assert list(pickle.loads(state)) == []


def overwrite(path):
    write(path, numbers(100, 160), shard_size=10, block_size=4, overwrite=True)


def overwrite_with_fewer(path):
    write(path, numbers(0, 50), shard_size=10, block_size=4, overwrite=True)


def overwrite_in_other_shards(path):
    write(path, numbers(0, 60), shard_size=15, block_size=4, overwrite=True)


def overwrite_with_other_columns(path):
    write(path, [{"z": i} for i in range(60)], shard_size=10, overwrite=True)


def overwrite_the_last_shard(path):
    write(path, [*numbers(0, 50), *numbers(0, 10)], shard_size=10, block_size=4, overwrite=True)


def merge_others(path):
    for part in range(2):
        write(path, numbers(200 + 30 * part, 230 + 30 * part), shard_size=10, block_size=4, part=part)
    merge_parts(path, overwrite=True)


def remove(path):
    shutil.rmtree(path)


def remove_the_manifest(path):
    (path / "atlas.json").unlink()


def damage_the_manifest(path):
    (path / "atlas.json").write_bytes((path / "atlas.json").read_bytes()[:-5])


def put_a_file_there(path):
    shutil.rmtree(path)
    path.write_bytes(b"something else")


CHANGES = [
    overwrite, overwrite_with_fewer, overwrite_in_other_shards, overwrite_with_other_columns, overwrite_the_last_shard, merge_others, remove,
    remove_the_manifest, damage_the_manifest, put_a_file_there,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@IO
def test_anything_else_is_told(path, change, io):
    ds = AtlasDataset(path, io=io, columns=["y"])
    states = [pickle.dumps(ds), pickle.dumps(ds[3:5]), pickle.dumps(ds.map(even)), pickle.dumps(concat([ds, ds]))]
    change(path)
    for state in states:
        with pytest.raises(DatasetChanged) as caught:
            pickle.loads(state)
        told = str(caught.value)
        assert told.startswith(f"{path}: the dataset was ") and "it had 60 rows in 6 shards with roots " in told and "pickled" in told
        assert "open the dataset again" in told or "restore it" in told or "cannot be read" in told
        assert isinstance(pickle.loads(pickle.dumps(caught.value)), DatasetChanged)


def rewrite(path):
    write(path, numbers(0, 60), shard_size=10, block_size=4, overwrite=True, metadata={"a": 1})


def change_metadata_only(path):
    manifest = read_manifest(LocalStore(path))
    manifest.metadata["note"] = "new"
    manifest.splits["first"] = ((0, 10),)
    manifest.icc["y"] = 0.5
    commit(LocalStore(path), manifest, expected=read_current(LocalStore(path)).version)


def move_away_and_back(path):
    shutil.copytree(path, path.with_name("copy"))
    shutil.rmtree(path)
    path.with_name("copy").rename(path)


@pytest.mark.parametrize("change", [rewrite, change_metadata_only, move_away_and_back])
def test_the_same_rows_are_the_same_dataset(path, change):
    ds = AtlasDataset(path)
    state, name = pickle.dumps(ds[::2]), ds.fingerprint
    change(path)
    assert ys(pickle.loads(state)) == list(range(0, 60, 2)) and AtlasDataset(path).fingerprint == name


def test_a_single_file(tmp_path, path):
    file = tmp_path / "one.atlas"
    shards = sorted(path.glob("*.atlas"))
    shutil.copy(shards[0], file)
    ds = AtlasDataset(file)
    state = pickle.dumps(ds[2:4])
    assert ys(pickle.loads(state)) == [2, 3]
    shutil.copy(shards[1], tmp_path / "new")
    (tmp_path / "new").replace(file)
    with pytest.raises(DatasetChanged, match=r"one\.atlas: the dataset was replaced: it had 10 rows in 1 shards"):
        pickle.loads(state)
    file.write_bytes(b"")
    with pytest.raises(DatasetChanged, match="cannot be read"):
        pickle.loads(state)
    file.unlink()
    with pytest.raises(DatasetChanged, match=r"one\.atlas: the dataset was removed"):
        pickle.loads(state)


def test_the_name_of_rows(path, tmp_path):
    """Rows and roots only: not metadata, splits, the place, or which columns are read. (What icc= measures stands in the shards, too.)"""
    ds = AtlasDataset(path)
    with AtlasDatasetWriter(tmp_path / "e", shard_size=10, block_size=4, metadata={"m": 1}, workers=0) as writer:
        writer.extend(numbers(0, 60), split="all")
    other = AtlasDataset(tmp_path / "e")
    assert other.fingerprint == ds.fingerprint == AtlasDataset(path, columns=["y"], io="pread").fingerprint
    assert other[5:].fingerprint == ds[5:].fingerprint and other[[3, 1]].fingerprint == ds[[3, 1]].fingerprint
    write(tmp_path / "f", [*numbers(0, 59), numbers(0, 1)[0]], shard_size=10, block_size=4)
    names = {ds.fingerprint, AtlasDataset(tmp_path / "f").fingerprint, ds[5:].fingerprint, ds[5:50].fingerprint, ds[[3, 1]].fingerprint}
    assert len(names) == 5 and all(len(name) <= 64 for name in names)


def test_a_loader_goes_on_after_metadata_changed(path):
    options = {"batch_size": 7, "shuffle": True, "seed": 1, "format": "numpy"}
    loader = Loader(AtlasDataset(path), **options)
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    rest = [batch["y"].tolist() for batch in batches]
    change_metadata_only(path)
    again = Loader(AtlasDataset(path), **options)
    again.load_state_dict(state)
    assert [batch["y"].tolist() for batch in again] == rest


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_worker_processes_that_start_after_an_append(path, method):
    torch = pytest.importorskip("torch")
    ds = AtlasDataset(path)
    loader = torch.utils.data.DataLoader(ds, batch_size=20, num_workers=1, multiprocessing_context=method, collate_fn=ys)
    write(path, numbers(1000, 1060), append=True, shard_size=10)
    assert [y for batch in loader for y in batch] == list(range(60))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_transform_processes_that_start_after_an_append(path, method):
    loader = Loader(AtlasDataset(path), batch_size=20, shuffle=False, transform_example=even_y, transform_processes=1, start_method=method, format="numpy")
    write(path, numbers(1000, 1060), append=True, shard_size=10)
    assert [y for batch in loader for y in batch["y"].tolist()] == [2 * i for i in range(60)]


# --- files that vanish under an open dataset ---


@IO
@pytest.mark.parametrize("change", [overwrite, merge_others, overwrite_in_other_shards])
def test_a_dataset_that_is_replaced_while_open(path, change, io):
    ds = AtlasDataset(path, io=io)
    assert ds[0]["y"] == 0
    change(path)
    told = rf"^{path}/atlas\.json: the dataset was replaced after it was opened: shard 5, 00005-\w+\.atlas, is no longer in it; open it again$"
    for read in (lambda: ds[55], lambda: ds.batch([55, 0]), lambda: list(ds[50:])):
        with pytest.raises(DatasetChanged, match=told):
            read()
    if io == "mmap":
        assert ds[9]["y"] == 9  # of the shard that was open


@IO
@pytest.mark.parametrize("change", [remove, remove_the_manifest])
def test_a_dataset_that_is_removed_while_open(path, change, io):
    ds = AtlasDataset(path, io=io)
    for shard in path.glob("*.atlas"):
        shard.unlink()
    change(path)
    with pytest.raises(DatasetChanged, match=rf"^{path}/atlas\.json: the dataset was removed after it was opened; restore it, or write it again"):
        ds[55]


@IO
def test_a_file_that_is_missing_in_a_dataset(path, io):
    ds = AtlasDataset(path, io=io)
    gone = path / ds.shards[5].path
    data = gone.read_bytes()
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=rf"^{gone}: file not found, but atlas\.json names it; restore it, or .* atlas-ds repair {path}$") as caught:
        ds[55]
    assert not isinstance(caught.value, DatasetChanged)
    assert ds[5]["y"] == 5
    gone.write_bytes(data)
    assert ds[55]["y"] == 55


def test_a_file_that_vanishes_between_two_blocks(path):
    ds = AtlasDataset(path, io="pread", memory_limit=1)
    assert ds[50]["y"] == 50
    gone = path / ds.shards[5].path
    data = gone.read_bytes()
    gone.unlink()
    assert ds[55]["y"] == 55  # it is open still
    descriptors.close_all()
    with pytest.raises(FileNotFoundError, match="restore it"):
        ds[50]
    gone.write_bytes(data)
    assert ds[50]["y"] == 50
    overwrite(path)
    descriptors.close_all()
    with pytest.raises(DatasetChanged, match=r"shard 5, .* is no longer in it"):
        ds[55]
    shutil.rmtree(path)
    with pytest.raises(DatasetChanged, match="was removed after it was opened"):
        ds[58]


@pytest.mark.parametrize("verify", ["first", "never"])
def test_a_file_that_is_another_one_between_two_blocks(path, verify):
    ds = AtlasDataset(path, io="pread", memory_limit=1, verify=verify)
    assert ds[50]["y"] == 50
    file = path / ds.shards[5].path
    other = write(path.with_name("other"), numbers(100, 160), shard_size=10, block_size=4)
    data = (other / AtlasDataset(other).shards[5].path).read_bytes()
    assert len(data) == file.stat().st_size
    file.unlink()
    file.write_bytes(data)
    descriptors.close_all()
    with pytest.raises(DatasetChanged, match="was replaced by another file"):
        ds[55]


@IO
def test_a_shard_that_is_not_what_its_manifest_says_is_damage(path, io):
    ds = AtlasDataset(path, io=io)
    shards = [path / shard.path for shard in ds.shards]
    shutil.copy(shards[2], shards[5])
    with pytest.raises(CorruptError, match="do not match the manifest"):
        ds[55]


@IO
def test_a_single_file_that_is_replaced_or_removed_while_open(tmp_path, path, io):
    shards = sorted(path.glob("*.atlas"))
    for change, told in ((lambda file: shutil.copy(shards[1], file), "replaced"), (Path.unlink, "removed")):
        file = Path(shutil.copy(shards[0], tmp_path / "one.atlas"))
        ds = AtlasDataset(file, io=io)
        change(file)
        with pytest.raises(DatasetChanged, match=rf"one\.atlas: the dataset was {told} after it was opened"):
            ds[0]


# --- more shards than descriptors ---

MANY = """
import resource, sys
import numpy as np
from atlas_ds import AtlasDataset
path, limit, rows = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
import os
for io in ("mmap", "pread"):
    ds = AtlasDataset(path, io=io, memory_limit=1 << 16)
    assert [example["y"] for example in ds] == list(range(rows))
    order = np.random.default_rng(0).permutation(rows)
    assert [ds[int(i)]["y"] for i in order] == order.tolist()
    assert ds.batch(order)["y"].tolist() == order.tolist() and ds.column("y").tolist() == list(range(rows))
    assert len(os.listdir("/proc/self/fd")) < 20
"""


def many(path, shards):
    """A dataset of so many small shards, of three rows each."""
    return write(path, [{"y": i} for i in range(3 * shards)], shard_size=3)


@pytest.mark.parametrize("shards", [150, pytest.param(1100, marks=pytest.mark.campaign)])
def test_more_shards_than_descriptors(tmp_path, shards):
    child(MANY, many(tmp_path / "d", shards), 64, 3 * shards)


FULL = """
import os, resource, sys
from atlas_ds import AtlasDataset
path = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
for io in ("mmap", "pread"):
    ds = AtlasDataset(path, io=io, memory_limit=1)
    for i in range(0, 60, 3):
        ds[i]
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    if io == "pread":
        assert ds[70]["y"] == 70  # one that was only kept is given up for it
        assert len(AtlasDataset(path, io=io)) == 450
        held.append(os.open("/dev/null", os.O_RDONLY))
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        AtlasDataset(path, io=io)
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
    for read in (lambda: ds[100], lambda: AtlasDataset(path, io=io)):
        try:
            read()
        except OSError as error:
            print(error)
    for fd in held:
        os.close(fd)
    assert ds[100]["y"] == 100
"""


def test_where_no_descriptor_is_left(tmp_path):
    path = many(tmp_path / "d", 150)
    told = child(FULL, path).stdout.splitlines()
    assert len(told) == 4
    for line, name in zip(told, [".atlas", "/d", ".atlas", "/d"], strict=True):
        assert "Too many open files; raise the limit (ulimit -n), or close other files" in line and line.endswith(f"{name}'"), line


# --- folders that are no datasets ---


@pytest.mark.parametrize("name", [".writing-abc123.json", ".tmp-00000-1-0"])
def test_a_folder_in_which_somebody_writes(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match="a writer or a download is active here, or was stopped: resume=True, or the same download again"):
        AtlasDataset(tmp_path)
    os.unlink(tmp_path / name)
    with pytest.raises(FileNotFoundError) as caught:
        AtlasDataset(tmp_path)
    assert "resume" not in str(caught.value)
