"""with_format("torch") and torch's DataLoader under every way to start a process."""

import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from atlas_ds import AtlasDataset, concat
from atlas_ds.schema.tensors import to_torch
from support import write

ROWS = [{"i": i, "x": np.full((2, 3), i, np.float32), "s": f"row {i}", "w": np.arange(i % 4), "f": i / 2, "b": i % 2 == 0} for i in range(64)]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("torch") / "d", ROWS, shard_size=20, block_size=4)


def test_examples(path):
    row = AtlasDataset(path).with_format("torch")[7]
    assert row["i"].dtype == torch.int64 and row["i"].item() == 7 and row["x"].dtype == torch.float32 and row["x"].shape == (2, 3)
    assert row["s"] == "row 7" and row["w"].tolist() == [0, 1, 2] and row["f"].item() == 3.5 and row["b"].dtype == torch.bool


def test_without_torch(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="pip install torch"):
        AtlasDataset(path).with_format("torch")


def test_batches(path):
    batch = AtlasDataset(path).with_format("torch").batch([3, 1])
    assert batch["i"].tolist() == [3, 1] and batch["x"].shape == (2, 2, 3) and batch["s"] == ["row 3", "row 1"]
    assert torch.equal(batch["w"][0], torch.arange(3)) and isinstance(batch["w"].values, torch.Tensor)


def test_memory_is_shared_where_it_may_be_written(path):
    array = np.ones(3)
    assert to_torch(array).data_ptr() == array.ctypes.data
    frozen = AtlasDataset(path, copy=False)[3]["x"]
    tensor = to_torch(frozen)
    tensor[:] = 0
    assert frozen[0, 0] == 3


def test_columns_with_nulls_have_no_torch_form(tmp_path):
    dataset = AtlasDataset(write(tmp_path / "d", [1, None])).with_format("torch")
    with pytest.raises(TypeError, match="nulls"):
        dataset.batch([0, 1])
    batch = dataset.batch([0, 0])
    assert isinstance(batch, torch.Tensor) and batch.tolist() == [1, 1]  # none of these rows is null


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_data_loader(path, method, io):
    dataset = AtlasDataset(path, io=io, columns=["i", "x"]).with_format("torch")
    assert dataset[0]["i"] == 0  # shards are open and pages seen before the processes start
    loader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=2, multiprocessing_context=method)
    for _ in range(2):
        seen = [int(i) for batch in loader for i, x in zip(batch["i"], batch["x"], strict=True) if bool((x == i).all())]
        assert sorted(seen) == list(range(64))


def test_data_loader_over_a_concat_and_a_view(path):
    dataset = AtlasDataset(path, columns=["i"])
    loader = DataLoader(concat([dataset, dataset[::-1]])[10:100], batch_size=16, num_workers=2)
    assert [int(i) for batch in loader for i in batch["i"]] == ([*range(64), *range(63, -1, -1)])[10:100]


def test_data_loader_without_workers(path):
    assert sum(len(batch["i"]) for batch in DataLoader(AtlasDataset(path, columns=["i"]), batch_size=10)) == 64
