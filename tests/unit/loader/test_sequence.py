"""The order: never a matter of threads, prefetch, processes or luck; states count what was given out; runs are taken up anywhere."""

import itertools
import json

import pytest

from atlas_ds import AtlasDataset, Sampler, concat
from unit.loader import parts
from unit.loader.parts import ids, load

WAYS = [
    {"num_threads": 0},
    {"num_threads": 1, "prefetch": 1},
    {"num_threads": 2, "prefetch": "1KB"},
    {"num_threads": 16, "prefetch": "1GB"},
    {"num_threads": 3, "transform_example": parts.slowly},
    {"num_threads": 16, "transform_example": parts.slowly, "prefetch": 5000},
]


def wanted(rows, **options):
    return list(Sampler(rows, **({"batch_size": 7, "seed": 5, "last_batch": "short"} | options)))


@pytest.mark.parametrize("way", WAYS)
def test_threads_and_luck(numbers, way):
    dataset = AtlasDataset(numbers)[:300]
    loader = load(dataset, **way)
    assert ids(loader) == wanted(dataset)
    assert loader.epoch == 1
    assert ids(loader) == list(epoch_of(dataset, 1))


def epoch_of(dataset, epoch, **options):
    sampler = Sampler(dataset, **({"batch_size": 7, "seed": 5, "last_batch": "short"} | options))
    sampler.set_epoch(epoch)
    return sampler


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes_and_luck(numbers, method):
    dataset = AtlasDataset(numbers)[:200]
    loader = load(dataset, transform_example=parts.slowly, transform_processes=2, start_method=method)
    batches = list(loader)
    assert ids(batches) == wanted(dataset) and loader.stats().threads == 2
    assert all((batch["x"] == batch["i"][:, None]).all() for batch in batches)


@pytest.mark.campaign
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_all_ways(numbers, rich_scan, method):
    dataset = AtlasDataset(numbers)
    for shuffle, batch, last_batch, world in itertools.product(["exact", "window", False], [1, 7, 64], ["drop", "short", "pad"], [1, 3]):
        options = {"shuffle": shuffle, "batch_size": batch, "last_batch": last_batch, "world_size": world}
        for rank in range(world):
            rows = wanted(dataset, rank=rank, **options)
            for threads, prefetch in itertools.product([0, 1, 2, 5, 16], [1, 4000, "1GB"]):
                assert ids(load(dataset, rank=rank, num_threads=threads, prefetch=prefetch, **options)) == rows
    for processes, prefetch in itertools.product([1, 2, 4], [1, "1GB"]):
        loader = load(dataset, transform_processes=processes, start_method=method, transform_example=parts.slowly, prefetch=prefetch)
        assert ids(loader) == wanted(dataset) and ids(loader) == list(epoch_of(dataset, 1))
    scan = AtlasDataset(rich_scan, columns=["id"])
    for lanes, window, threads in itertools.product([1, 5], [1, 3], [0, 3, 16]):
        options = {"shuffle": "window", "lanes": lanes, "window": window}
        assert ids(load(scan, num_threads=threads, **options), "id") == [scan.batch(rows)["id"].tolist() for rows in wanted(scan, **options)]


# --- states ---------------------------------------------------------------------


def chain(dataset, world, of_rank, state, steps, **options):
    """Some steps of all ranks: the rows of each step, and the state, on which all ranks agree."""
    loaders = [load(dataset, batch_size=of_rank, rank=rank, world_size=world, **options) for rank in range(world)]
    for loader in loaders:
        if state is not None:
            loader.load_state_dict(json.loads(json.dumps(state)))
    left = len(loaders[0])
    runs = [iter(loader) for loader in loaders]
    done = [sorted(row for run in runs for row in ids([next(run)])[0]) for _ in range(min(steps, left))]
    states = [loader.state_dict() for loader in loaders]
    assert all(one == states[0] for one in states) and len(json.dumps(states[0])) < 400
    return done, states[0]


@pytest.mark.parametrize("shuffle", ["exact", "window", False])
def test_a_chain_of_other_topologies(numbers, shuffle):
    dataset = AtlasDataset(numbers)
    order = [row for batch in wanted(dataset, shuffle=shuffle, batch_size=1) for row in batch]
    at, state = 0, None
    for (world, of_rank, threads), steps in zip(itertools.cycle([(8, 2, 1), (2, 8, 0), (4, 4, 2), (3, 5, 1), (1, 50, 2)]), [3, 1, 0, 5, 2, 99]):
        done, state = chain(dataset, world, of_rank, state, steps, shuffle=shuffle, num_threads=threads)
        for rows in done:
            assert rows == sorted(order[at : at + len(rows)])
            at += len(rows)
        assert state["position"] == at
    assert at == 1000


@pytest.mark.parametrize("last_batch", ["drop", "short", "pad"])
def test_a_state_after_every_step(numbers, last_batch):
    dataset = AtlasDataset(numbers)[:100]
    loader = load(dataset, last_batch=last_batch, num_threads=2)
    whole, states = [], [loader.state_dict()]
    for batch in loader:
        whole += ids([batch])
        states.append(loader.state_dict())
    after = list(epoch_of(dataset, 1, last_batch=last_batch))
    for done, state in enumerate(states):
        again = load(dataset, last_batch=last_batch, num_threads=done % 3)
        again.load_state_dict(json.loads(json.dumps(state)))
        assert len(again) == len(whole) - done and ids(again) == whole[done:]
        assert ids(again) == after
    ended = load(dataset, last_batch=last_batch)
    ended.load_state_dict(loader.state_dict())
    assert ids(ended) == after


def test_a_state_counts_what_was_given_out_not_what_was_read(numbers):
    dataset = AtlasDataset(numbers)
    seen = []
    loader = load(dataset, batch_size=10, transform=lambda batch: seen.append(1) or batch, num_threads=4)
    batches = iter(loader)
    assert loader.state_dict()["position"] == 0
    next(batches)
    deadline(lambda: len(seen) > 50)
    assert loader.state_dict()["position"] == 10
    next(batches)
    assert loader.state_dict()["position"] == 20


def deadline(condition, seconds=30):
    import time

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_break_and_iterate_again(numbers):
    dataset = AtlasDataset(numbers)[:100]
    loader = load(dataset)
    for _ in range(3):
        assert ids([next(iter(loader))]) == wanted(dataset)[:1]
    for number, _ in enumerate(loader):
        if number == 4:
            break
    assert loader.state_dict()["position"] == 35
    assert ids(loader) == wanted(dataset) and loader.epoch == 1


def test_set_epoch(numbers):
    dataset = AtlasDataset(numbers)[:100]
    loader = load(dataset)
    for epoch in (3, 3, 0, 7):
        loader.set_epoch(epoch)
        assert ids(loader) == list(epoch_of(dataset, epoch)) and loader.epoch == epoch + 1
    batches = iter(loader)
    next(batches)
    loader.load_state_dict(loader.state_dict())
    loader.set_epoch(loader.epoch)
    assert len(loader) == 14, "the epoch that is up keeps its position"


def test_two_iterators_at_once(numbers):
    dataset = AtlasDataset(numbers)[:100]
    loader = load(dataset)
    pairs = list(zip(loader, loader))
    assert ids(a for a, _ in pairs) == ids(b for _, b in pairs) == wanted(dataset) and loader.epoch == 1
    first = iter(loader)
    next(first)
    second = iter(loader)
    next(second)
    assert loader.state_dict()["position"] == 7, "of the newest"
    assert len(list(first)) == 14


def test_a_state_of_another_order(numbers):
    dataset = AtlasDataset(numbers)
    state = load(dataset).state_dict()
    for other in (load(dataset, seed=6), load(dataset, substream=1), load(dataset, shuffle=False), load(dataset[::-1]), load(concat([dataset]))):
        with pytest.raises(ValueError, match="so its order differs"):
            other.load_state_dict(state)


# --- seeds ------------------------------------------------------------------------


def noise(loader):
    return {int(i): int(n) for batch in loader for i, n in zip(batch["i"], batch["noise"])}


def test_random_numbers_belong_to_the_row(numbers):
    dataset = AtlasDataset(numbers)[:100]
    options = {"transform_example": parts.with_noise_slowly, "seeded": True}
    first = load(dataset, num_threads=0, **options)
    one, two = noise(first), noise(first)
    assert len(set(one.values()) | set(two.values())) == 200, "another epoch, other numbers"
    for more in ({"num_threads": 16}, {"batch_size": 3, "num_threads": 2}, {"transform_processes": 2}, {"shuffle": False}):
        assert noise(load(dataset, **options, **more)) == one
    ranks: dict = {}
    for rank in range(3):
        ranks |= noise(load(dataset, **options, rank=rank, world_size=3))
    assert ranks == one
    later = load(dataset, **options)
    later.set_epoch(1)
    assert noise(later) == two
    assert not set(noise(load(dataset, **options | {"seed": 6})).values()) & set(one.values())
    assert not set(noise(load(dataset, **options, substream=1)).values()) & set(one.values())


def test_random_numbers_of_a_batch(numbers):
    dataset = AtlasDataset(numbers)
    options = {"transform": parts.batch_noise, "seeded": True}
    one = noise(load(dataset, num_threads=0, **options))
    assert len(set(one.values())) == 1000
    for more in ({"num_threads": 16}, {"prefetch": 1}):
        assert noise(load(dataset, **options, **more)) == one
    resumed = load(dataset, **options)
    batches = iter(resumed)
    head = [next(batches) for _ in range(3)]
    resumed.load_state_dict(resumed.state_dict())
    assert noise([*head, *resumed]) == one
