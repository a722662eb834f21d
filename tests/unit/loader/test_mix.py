"""Mixes: exact proportions, each dataset in its own order, resumed anywhere, weights that change."""

from __future__ import annotations

import json
from itertools import islice

import numpy as np
import pytest

from atlas_ds import AtlasDataset, AtlasDatasetWriter, Loader, Mix, Sampler
from atlas_ds.order import Exact


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    out = []
    for k, count in enumerate((500, 90, 40)):
        path = tmp_path_factory.mktemp("mix") / f"d{k}"
        with AtlasDatasetWriter(path, access="scan" if k == 1 else "random", block_size="1KB") as writer:
            writer.extend({"of": k, "row": i, "text": f"{k} {i} " * 9} for i in range(count))
        out.append(AtlasDataset(path))
    return out


def pairs(loader):
    return [(int(k), int(i)) for batch in loader for k, i in zip(batch["of"], batch["row"], strict=True)]


def test_proportions_are_exact_and_each_dataset_is_read_in_its_order(datasets):
    loader = Loader(Mix(list(zip(datasets, (5, 2, 1), strict=True)), seed=3), batch_size=8, format="numpy")
    assert len(loader) == 630 // 8
    seen = pairs(loader)
    for start in range(0, len(seen), 8):
        assert np.bincount([k for k, _ in seen[start : start + 8]], minlength=3).tolist() == [5, 2, 1]
    own = [[i for k, i in seen if k == part] for part in range(3)]
    assert own[0] == Exact(500, 3, 0, 1).take(0, len(own[0])).tolist()  # a substream for each part
    for part in (1, 2):
        rows, laps = own[part], len(own[part]) // len(datasets[part])
        for lap in range(laps):
            assert sorted(rows[lap * len(datasets[part]) : (lap + 1) * len(datasets[part])]) == list(range(len(datasets[part])))
    assert own[2][:40] != own[2][40:80][: len(own[2][40:80])]


def test_the_same_dataset_twice_gets_two_orders(datasets):
    mix = Mix([(datasets[0], 1), (datasets[0], 1)])
    order = Sampler(mix, batch_size=2).plan().order.take(0, 200)
    first, second = order[order < 500], order[order >= 500] - 500
    assert len(first) == len(second) == 100 and first.tolist() != second.tolist()


def test_epochs_of_a_mix_go_on_where_the_last_ended(datasets):
    short = Loader(Mix(list(zip(datasets, (3, 1, 1), strict=True)), seed=1, length=100), batch_size=10, format="numpy")
    long = Loader(Mix(list(zip(datasets, (3, 1, 1), strict=True)), seed=1, length=300), batch_size=10, format="numpy")
    assert pairs(short) + pairs(short) + pairs(short) == pairs(long)


@pytest.mark.parametrize("world", [1, 2, 5])
def test_a_mix_is_resumed_at_any_step_by_any_number_of_ranks(datasets, world):
    make = lambda **kw: Loader(Mix(list(zip(datasets, (4, 1, 2), strict=True)), seed=9), format="numpy", **kw)  # noqa: E731
    whole = pairs(make(batch_size=10))
    for stop in (0, 1, 17, 62):
        loader = make(batch_size=10)
        head = [(int(k), int(i)) for batch in islice(loader, stop) for k, i in zip(batch["of"], batch["row"], strict=True)]
        state = json.loads(json.dumps(loader.state_dict()))
        assert len(json.dumps(state)) < 400
        ranks = []
        for rank in range(world):
            again = make(global_batch_size=10, rank=rank, world_size=world)
            again.load_state_dict(state)
            ranks.append([[(int(k), int(i)) for k, i in zip(b["of"], b["row"], strict=True)] for b in again])
        tail = [pair for step in zip(*ranks, strict=True) for part in step for pair in part]
        assert head + tail == whole


def test_weights_change_at_a_recorded_position(datasets):
    loader = Loader(Mix([(datasets[0], 1), (datasets[1], 1)], seed=2, length=400), batch_size=10, format="numpy")
    head = list(islice(loader, 10))
    loader.reweight([9, 1])
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["position"] == 100 and state["mix"] == [[0, [1, 1]], [100, [9, 1]]]
    tail = pairs(loader)
    assert len(tail) == 300
    for start in range(0, 300, 10):
        assert np.bincount([k for k, _ in tail[start : start + 10]], minlength=2).tolist() == [9, 1]
    rows = [int(i) for b in head for k, i in zip(b["of"], b["row"], strict=True) if k == 0] + [i for k, i in tail if k == 0]
    assert rows == Exact(500, 2, 0, 1).take(0, len(rows)).tolist()  # nothing lost, nothing twice where weights change
    other = Loader(Mix([(datasets[0], 1), (datasets[1], 1)], seed=2, length=400), batch_size=10, format="numpy")
    other.load_state_dict(state)
    assert pairs(other) == tail


def test_map_is_applied_in_a_mix(datasets):
    doubled = datasets[2].map(lambda example: {**example, "row": example["row"] * 2})
    seen = pairs(Loader(Mix([(datasets[0], 1), (doubled, 1)], length=80), batch_size=8, format="numpy"))
    assert sorted(i for k, i in seen if k == 2) == [2 * i for i in range(40)]


def test_wrong_mixes_are_refused(datasets):
    with pytest.raises(ValueError, match="at least one"):
        Mix([])
    with pytest.raises(ValueError, match="weights"):
        Mix([(datasets[0], 0)])
    with pytest.raises(ValueError, match="dataset 1 of the mix is empty"):
        Mix([(datasets[0], 1), (datasets[1][:0], 1)])
    mix = Mix([(datasets[0], 1), (datasets[1], 1)])
    for options in ({"seed": 4}, {"shuffle": False}, {"shuffle": "window"}):
        with pytest.raises(ValueError, match="a mix has its own"):
            Loader(mix, batch_size=4, **options)
    with pytest.raises(ValueError, match="weights"):
        Loader(mix, batch_size=4).reweight([1, 2, 3])
    with pytest.raises(ValueError, match="only a Mix"):
        Loader(datasets[0], batch_size=4).reweight([1])
    state = Loader(mix, batch_size=4).state_dict()
    with pytest.raises(ValueError, match="dataset"):
        Loader(Mix([(datasets[0], 1), (datasets[2], 1)]), batch_size=4).load_state_dict(state)
    del state["mix"]
    with pytest.raises(ValueError, match="mix"):
        Loader(mix, batch_size=4).load_state_dict(state)
