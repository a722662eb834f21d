"""torch's DataLoader with the Sampler, as others drive it: worker processes, ranks, set_epoch, states in the middle of an epoch."""

import json

import pytest
from torch.utils.data import DataLoader

from atlas_ds import AtlasDataset, Loader, Sampler
from unit.loader.parts import ids, load


def columns_of(rows):
    """collate_fn"""
    return {"i": [row["i"] for row in rows]}


def wanted(dataset, epoch=0, **options):
    sampler = Sampler(dataset, **({"batch_size": 16, "seed": 5, "last_batch": "short"} | options))
    sampler.set_epoch(epoch)
    return list(sampler)


def data_loader(dataset, sampler, workers, method=None, kind=DataLoader, **options):
    context = method if workers else None
    return kind(dataset, batch_sampler=sampler, num_workers=workers, multiprocessing_context=context, collate_fn=columns_of, **options)


@pytest.mark.parametrize("workers, method", [(0, None), (2, "fork"), (2, "forkserver"), pytest.param(2, "spawn", marks=pytest.mark.campaign)])
def test_epochs(numbers, workers, method):
    dataset = AtlasDataset(numbers)[:200]
    sampler = Sampler(dataset, batch_size=16, seed=5, last_batch="short")
    loader = data_loader(dataset, sampler, workers, method, persistent_workers=workers > 0)
    assert len(loader) == 13
    for epoch in range(3):
        assert ids(loader) == wanted(dataset, epoch)


def test_the_loader_gives_the_same_batches(numbers):
    dataset = AtlasDataset(numbers)
    sampler = Sampler(dataset, batch_size=16, seed=5, last_batch="short")
    assert ids(data_loader(dataset, sampler, 0)) == ids(load(dataset, batch_size=16))


@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_and_set_epoch(numbers, workers):
    """As Lightning does: every rank has its own, and set_epoch comes before each epoch, whether the last one was run to its end or not."""
    dataset = AtlasDataset(numbers)[:200]
    ranks = []
    for rank in range(2):
        sampler = Sampler(dataset, batch_size=16, seed=5, last_batch="short", rank=rank, world_size=2)
        loader = data_loader(dataset, sampler, workers, "fork")
        seen = []
        for epoch in range(3):
            loader.batch_sampler.set_epoch(epoch)
            for number, batch in enumerate(loader):
                seen += ids([batch])
                if epoch == 1 and number == 2:
                    break
        ranks.append(seen)
    whole = [wanted(dataset, epoch, batch_size=32) for epoch in range(3)]
    steps = [*whole[0], *whole[1][:3], *whole[2]]
    assert [a + b for a, b in zip(*ranks, strict=True)] == steps


def test_set_epoch_of_a_loader(numbers):
    dataset = AtlasDataset(numbers)[:200]
    loader = load(dataset, batch_size=16)
    for epoch in (0, 1, 5):
        loader.set_epoch(epoch)
        assert ids(loader) == wanted(dataset, epoch)


def test_auto_ranks(numbers, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    dataset = AtlasDataset(numbers)[:200]
    assert ids(load(dataset, batch_size=16, rank="auto", world_size="auto")) == wanted(dataset, rank=1, world_size=2)


def test_workers_are_forked_while_threads_are_at_work(numbers):
    """Of a Loader, which reads the same dataset."""
    dataset = AtlasDataset(numbers)
    batches = iter(load(dataset, num_threads=4, prefetch=1))
    next(batches)
    loader = data_loader(dataset, Sampler(dataset, batch_size=100, seed=5), 2, "fork")
    assert ids(loader) == wanted(dataset, batch_size=100)
    assert len(list(batches)) == 142


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", [1, 5, 12, 13])
def test_stateful_data_loader(numbers, workers, stop):
    """It keeps the sampler's state of each batch, so that a state in the middle counts what the loop got."""
    pytest.importorskip("torchdata")
    from torchdata.stateful_dataloader import StatefulDataLoader

    dataset = AtlasDataset(numbers)[:200]

    def made():
        return data_loader(dataset, Sampler(dataset, batch_size=16, seed=5, last_batch="short"), workers, "fork", StatefulDataLoader)

    first = made()
    batches = iter(first)
    head = [ids([next(batches)])[0] for _ in range(stop)]
    state = first.state_dict()
    after = made()
    after.load_state_dict(state)
    assert head + ids(after) == wanted(dataset)
    assert ids(after) == wanted(dataset, 1)


def test_states_go_between_sampler_and_loader(numbers):
    dataset = AtlasDataset(numbers)[:200]
    loader = load(dataset, batch_size=16)
    batches = iter(loader)
    for _ in range(4):
        next(batches)
    sampler = Sampler(dataset, batch_size=16, seed=5, last_batch="short")
    sampler.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    assert ids(data_loader(dataset, sampler, 2, "fork")) == wanted(dataset)[4:]
    back = Loader(dataset, batch_size=40, seed=5, format="numpy")
    back.load_state_dict(loader.state_dict())
    assert sum(map(len, ids(back))) == 120
