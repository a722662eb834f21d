"""copy=False in worker processes: views become bytes on the way; nothing hangs."""

import copy
import pickle
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import atlas_ds as atlas
from atlas_ds import AtlasDataset, Loader, Media
from support import child, write
from unit.loader.parts import as_it_is

ROWS = [{"b": bytes([i]) * 5, "n": bytes(i) if i % 2 else None, "m": Media(b"\xff\xd8\xff%d" % i, "image/jpeg"), "s": {"b": b"in %d" % i, "m": Media(b"fLaC%d" % i, "audio/flac")}, "x": np.full(3, i)} for i in range(12)]


@pytest.fixture(scope="module", params=["random", "scan"])
def path(request, tmp_path_factory):
    return write(tmp_path_factory.mktemp("workers") / "d", ROWS, access=request.param)


@pytest.fixture(autouse=True)
def alarm():
    """A hang fails the test."""

    def ring(*_):
        raise TimeoutError("this hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def raw(batch):
    """collate_fn"""
    return batch


def views_in(value):
    if isinstance(value, dict):
        return any(map(views_in, value.values()))
    if isinstance(value, list | tuple):
        return any(map(views_in, value))
    return isinstance(value.data if isinstance(value, Media) else value, memoryview)


def is_right(rows, wanted):
    return len(rows) == len(wanted) and all(
        row["b"] == want["b"] and row["n"] == want["n"] and row["m"] == want["m"] and row["s"] == want["s"] and (row["x"] == want["x"]).all() for row, want in zip(rows, wanted)
    )


@pytest.mark.parametrize("method", [None, "fork", *(pytest.param(method, marks=pytest.mark.campaign) for method in ("forkserver", "spawn"))])
def test_data_loader(path, method):
    dataset = AtlasDataset(path, copy=False)
    assert isinstance(dataset[0]["b"], memoryview) and isinstance(dataset[0]["m"].data, memoryview) and not dataset[0]["x"].flags.writeable
    options = {"num_workers": 2, "multiprocessing_context": method} if method else {}
    for source in (dataset, atlas.concat([dataset[:5], dataset[5:]])):
        rows = [row for batch in DataLoader(source, batch_size=4, collate_fn=raw, **options) for row in batch]
        assert is_right(rows, ROWS) and not views_in(rows)
        columns = list(DataLoader(source, batch_size=4, collate_fn=atlas.collate, **options))
        assert [value for batch in columns for value in batch["b"]] == [row["b"] for row in ROWS]
        assert [value for batch in columns for value in batch["s"]["m"]] == [row["s"]["m"] for row in ROWS]
    plain = AtlasDataset(path, copy=False, columns=["b", "x"])
    for batch in DataLoader(plain, batch_size=12, **options):
        assert batch["b"] == [row["b"] for row in ROWS] and torch.equal(batch["x"], torch.arange(12)[:, None].expand(12, 3))


def test_a_worker_that_is_not_forked(path):
    rows = [row for batch in DataLoader(AtlasDataset(path, copy=False), batch_size=6, collate_fn=raw, num_workers=1, multiprocessing_context="forkserver") for row in batch]
    assert is_right(rows, ROWS)


def test_views_that_a_worker_returns_all_the_same(path):
    """map and batch_size=None give ds[i] to the queue as it is."""
    dataset = AtlasDataset(path, copy=False)
    for source in (dataset.map(as_it_is), dataset):
        rows = list(DataLoader(source, batch_size=None, num_workers=1, multiprocessing_context="fork", collate_fn=raw))
        assert is_right(rows, ROWS)


@pytest.mark.parametrize("transform", [None, as_it_is])
def test_processes_of_a_loader(path, transform):
    dataset = AtlasDataset(path, copy=False)
    batches = list(Loader(dataset, batch_size=4, shuffle=False, format="numpy", transform_processes=1, transform_example=transform))
    assert [value for batch in batches for value in batch["b"]] == [row["b"] for row in ROWS]
    assert [value for batch in batches for value in batch["m"]] == [row["m"] for row in ROWS]


def test_threads_of_a_loader_copy_nothing(path):
    dataset = AtlasDataset(path, copy=False)
    (batch,) = Loader(dataset, batch_size=12, shuffle=False, format="numpy", transform_example=as_it_is)
    assert all(isinstance(value, memoryview) for value in batch["b"]) and batch["b"] == [row["b"] for row in ROWS]


def test_pickle_and_deepcopy(path):
    dataset = AtlasDataset(path, copy=False)
    for again in (pickle.loads(pickle.dumps(dataset[3])), copy.deepcopy(dataset[3])):
        assert is_right([again], ROWS[3:4]) and not views_in(again)
    assert pickle.loads(pickle.dumps(dataset[3]["b"])) == ROWS[3]["b"]


def test_a_process_that_only_unpickled_it(path):
    """As a spawned worker does."""
    code = "import pickle, sys; ds = pickle.loads(bytes.fromhex(sys.argv[1])); print(pickle.loads(pickle.dumps(ds[2]['b'])).hex())"
    assert child(code, pickle.dumps(AtlasDataset(path, copy=False)).hex()).stdout.strip() == ROWS[2]["b"].hex()
