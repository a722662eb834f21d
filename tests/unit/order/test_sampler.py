"""The sampler: what iter, len, set_epoch and a loaded state do to each other; ranks; arguments; no torch."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atlas_ds.order import Exact, Sampler, Sequential, Window
from atlas_ds.order.epoch import LANES, WINDOW


def flat(batches: Iterable[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def loaded(sampler: Sampler, **options: Any) -> Sampler:
    """Another sampler that goes on where this one stands, through JSON."""
    after = Sampler(100, **({"batch_size": 8, "seed": 3} | options))
    after.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    return after


def test_batches_are_lists_of_ints() -> None:
    batches = list(Sampler(100, batch_size=8, seed=3))
    assert len(batches) == len(Sampler(100, batch_size=8)) == 12
    assert all(type(batch) is list and all(type(row) is int for row in batch) for batch in batches)
    assert flat(batches) == Exact(100, 3).take(0, 96).tolist()


def test_epochs_follow_each_other() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    for epoch in range(3):
        assert sampler.epoch == epoch
        assert flat(sampler) == Exact(100, 3, epoch).take(0, 96).tolist()
    assert sampler.state_dict()["epoch"] == 3 and sampler.state_dict()["position"] == 0


def test_a_break_leaves_the_next_iter_where_it_was() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    whole = list(Sampler(100, batch_size=8, seed=3))
    for number, batch in enumerate(sampler):
        assert batch == whole[number]
        if number == 4:
            break
    saved = sampler.state_dict()
    assert saved["position"] == 40
    assert list(loaded(sampler)) == whole[5:]
    assert next(iter(sampler)) == whole[0]
    assert list(sampler) == whole, "from the start of the same epoch"
    assert sampler.epoch == 1


def test_every_iter_after_a_load_begins_at_the_loaded_position() -> None:
    """StatefulDataLoader makes two iterators after a load; a look at the first batch must not lose the place either."""
    sampler = Sampler(100, batch_size=8, seed=3)
    whole = list(Sampler(100, batch_size=8, seed=3))
    batches = iter(sampler)
    for _ in range(5):
        next(batches)
    after = loaded(sampler)
    assert len(after) == 7
    assert next(iter(after)) == whole[5]
    assert len(after) == 7 and after.state_dict()["position"] == 48
    after.set_epoch(0)
    assert list(after) == whole[5:], "set_epoch to the loaded epoch keeps the position"
    assert len(after) == 12 and after.epoch == 1
    assert flat(after) == Exact(100, 3, 1).take(0, 96).tolist()


def test_set_epoch_to_another_epoch_begins_it() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    batches = iter(sampler)
    next(batches)
    after = loaded(sampler)
    after.set_epoch(7)
    assert (after.epoch, len(after), after.state_dict()["position"]) == (7, 12, 0)
    assert flat(after) == Exact(100, 3, 7).take(0, 96).tolist()
    after.set_epoch(7)
    assert flat(after) == Exact(100, 3, 7).take(0, 96).tolist(), "again, for epoch 8 was up"
    for epoch in (-1, 2**64):
        with pytest.raises(ValueError, match=f"epoch {epoch} is not in"):
            after.set_epoch(epoch)


def test_a_state_of_the_last_step_and_one_after_the_loop() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    for _ in sampler:
        inside = sampler.state_dict()
    again = Sampler(100, batch_size=8, seed=3)
    again.load_state_dict(inside)
    assert len(again) == 0 and list(again) == []
    assert flat(again) == Exact(100, 3, 1).take(0, 96).tolist()
    assert flat(loaded(sampler)) == Exact(100, 3, 1).take(0, 96).tolist()


def test_an_old_iterator_does_not_disturb_a_new_place() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    old = iter(sampler)
    next(old)
    sampler.set_epoch(5)
    assert len(list(old)) == 11
    assert (sampler.epoch, sampler.state_dict()["position"]) == (5, 0)
    pairs = list(zip(sampler, sampler))
    assert all(a == b for a, b in pairs) and sampler.epoch == 6, "two iterators of one epoch end it once"


def chain(size: int, of_rank: int, state: dict[str, Any] | None, steps: int, **options: Any) -> tuple[list[list[int]], dict[str, Any]]:
    """Some steps of all ranks: the rows of each step, and the state, on which all ranks agree."""
    samplers = [Sampler(batch_size=of_rank, rank=rank, world_size=size, **options) for rank in range(size)]
    for sampler in samplers:
        if state is not None:
            sampler.load_state_dict(json.loads(json.dumps(state)))
    runs = [iter(sampler) for sampler in samplers]
    done = [flat(next(run) for run in runs) for _ in range(min(steps, len(samplers[0])))]
    states = [sampler.state_dict() for sampler in samplers]
    assert all(one == states[0] for one in states)
    return done, states[0]


@pytest.mark.parametrize("shuffle", ["exact", "window", False])
def test_a_chain_of_other_topologies_gives_the_same_sequence(shuffle: str | bool) -> None:
    rows = 2001
    options: dict[str, Any] = {"dataset": rows, "shuffle": shuffle, "seed": 11, "last_batch": "short"} | ({"lanes": 24, "window": 2} if shuffle == "window" else {})
    order: Any = {"exact": Exact(rows, 11), "window": Window((rows, 256), 24, 2, 11), False: Sequential(rows)}[shuffle]
    for stops in ([3, 5, 4], [1, 1, 1], [0, 7, 2]):
        state, at = None, 0
        while at < rows:
            for (size, of_rank), steps in zip([(8, 4), (2, 4), (3, 5), (8, 4)], [*stops, 10]):
                done, state = chain(size, of_rank, state, steps, **options)
                for step in done:
                    assert sorted(step) == sorted(order.take(at, len(step)))
                    at += len(step)
                assert state["position"] == at
        assert at == rows


def test_stopped_at_any_step_of_any_topology() -> None:
    options: dict[str, Any] = {"dataset": 400, "shuffle": "window", "seed": 2, "lanes": 12, "window": 1, "last_batch": "pad"}
    whole, _ = chain(4, 8, None, 99, **options)
    for stop in range(len(whole) + 1):
        before, state = chain(4, 8, None, stop, **options)
        after, _ = chain(4, 8, state, 99, **options)
        assert before + after == whole


def test_ranks_share_every_step() -> None:
    alone = list(Sampler(1000, global_batch_size=48, seed=1))
    for size in (2, 3, 4, 6, 8, 12, 16, 24, 48):
        ranks = [list(Sampler(1000, global_batch_size=48, seed=1, rank=rank, world_size=size)) for rank in range(size)]
        assert [flat(step) for step in zip(*ranks)] == alone


def test_the_lanes_do_not_depend_on_the_world_size() -> None:
    assert {Sampler(10**6, batch_size=4, shuffle="window", world_size=size).state_dict()["lanes"] for size in range(1, 30)} == {LANES}
    assert Window((10**6, 256), LANES, WINDOW).quality(256) < 1.03


def test_advice_and_chunks_of_the_dataset() -> None:
    class Advised:
        default_shuffle = "window"
        fingerprint = "abc"

        def __len__(self) -> int:
            return 60

        def chunk_rows(self) -> np.ndarray:
            return np.array([10, 20, 30])

    sampler = Sampler(Advised(), batch_size=6, seed=4, lanes=2, window=1)
    assert sampler.state_dict()["shuffle"] == "window" and len(sampler.state_dict()["chunk"]) == 16
    assert flat(sampler) == Window(np.array([10, 20, 30]), 2, 1, 4).take(0, 60).tolist()
    assert Sampler(Advised(), batch_size=6, shuffle="exact").state_dict()["shuffle"] == "exact"
    assert Sampler(range(10), batch_size=2, shuffle="window").state_dict()["chunk"] == 256
    assert Sampler(1000, batch_size=2, shuffle="window").state_dict()["chunk"] == 256
    wrong = Advised()
    wrong.chunk_rows = lambda: (61, 5)  # type: ignore[method-assign, return-value, assignment]
    with pytest.raises(ValueError, match="adds up to 61 rows, but the dataset has 60"):
        Sampler(wrong, batch_size=6)


def test_a_stream_is_another_order() -> None:
    assert list(Sampler(100, batch_size=8)) != list(Sampler(100, batch_size=8, substream=1))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({}, ValueError, "give batch_size .* or global_batch_size"),
        ({"batch_size": 1, "global_batch_size": 1}, ValueError, "one of them"),
        ({"batch_size": 0}, ValueError, "batch_size 0 is not in"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int, not 2.0"),
        ({"global_batch_size": 10, "world_size": 4}, ValueError, "global_batch_size 10 cannot be divided evenly by world_size 4"),
        ({"batch_size": 1, "rank": 2, "world_size": 2}, ValueError, r"rank 2 is not in \[0, 1\]"),
        ({"batch_size": 1, "world_size": 0}, ValueError, "world_size 0"),
        ({"batch_size": 1, "rank": "first"}, ValueError, "rank 'first' is neither an int nor \"auto\""),
        ({"batch_size": 1, "shuffle": "best"}, ValueError, "shuffle 'best' is not one of True, 'exact', 'window', False"),
        ({"batch_size": 1, "last_batch": "keep"}, ValueError, "last_batch 'keep' is not one of drop, short, pad"),
        ({"batch_size": 1, "seed": -1}, ValueError, r"seed -1 is not in \[0, 2\^64\)"),
        ({"batch_size": 1, "seed": True}, TypeError, "seed must be an int, not True"),
        ({"batch_size": 1, "lanes": 4}, ValueError, "lanes and window are for shuffle='window', not 'exact'"),
        ({"batch_size": 1, "shuffle": "window", "window": 0}, ValueError, "window 0"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Sampler(100, **options)


def test_numpy_ints_are_ints() -> None:
    sampler = Sampler(np.int64(100), batch_size=np.int32(8), seed=np.uint64(3), rank=np.int64(0), world_size=np.int64(1))
    assert list(sampler) == list(Sampler(100, batch_size=8, seed=3))
    json.dumps(sampler.state_dict())


def test_pickles_with_its_place() -> None:
    sampler = Sampler(100, batch_size=8, seed=3)
    batches = iter(sampler)
    next(batches)
    assert list(pickle.loads(pickle.dumps(loaded(sampler)))) == list(batches)


# --- ranks ----------------------------------------------------------------------


def fake_torch(initialised: bool) -> Any:
    distributed = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: initialised, get_rank=lambda: 3, get_world_size=lambda: 5)
    return SimpleNamespace(distributed=distributed)


def test_auto_asks_torch_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for torch, wanted in [(None, (1, 2)), (fake_torch(False), (1, 2)), (SimpleNamespace(), (1, 2)), (fake_torch(True), (3, 5))]:
        monkeypatch.setitem(sys.modules, "torch", torch)
        sampler = Sampler(100, batch_size=4, rank="auto", world_size="auto")
        assert (sampler.rank, sampler.world_size, sampler.batch_size) == (*wanted, 4)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert Sampler(100, batch_size=4, rank="auto", world_size=7).rank == 1


def test_auto_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="WORLD_SIZE is not set: set it"):
        Sampler(100, batch_size=4, rank="auto", world_size="auto")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK is not set: set it"):
        Sampler(100, batch_size=4, rank="auto", world_size="auto")
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(ValueError, match="RANK is 'one', not a number"):
        Sampler(100, batch_size=4, rank="auto", world_size="auto")


def test_torch_is_not_imported() -> None:
    code = "import sys; from atlas_ds.order import Sampler; list(Sampler(10, batch_size=2, rank='auto', world_size='auto')); print('torch' in sys.modules)"
    environment = os.environ | {"RANK": "0", "WORLD_SIZE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


def test_behind_a_data_loader() -> None:
    data = pytest.importorskip("torch.utils.data")
    sampler = Sampler(100, batch_size=8, seed=3)
    for workers, persistent in [(0, False), (2, True)]:
        sampler.set_epoch(0)
        loader = data.DataLoader(range(100), batch_sampler=sampler, num_workers=workers, persistent_workers=persistent)
        for epoch in range(3):
            assert len(loader) == 12
            assert [batch.tolist() for batch in loader] == Exact(100, 3, epoch).take(0, 96).reshape(-1, 8).tolist()
