"""Orders of any datasets on any ranks: exactly once, and the same after any chain of stops."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_ds.order import MixOrder, Permutation, Sampler, Window

CHUNKS = st.one_of(
    st.tuples(st.integers(0, 700), st.integers(1, 90)),
    st.lists(st.integers(1, 40), max_size=40).map(lambda counts: np.array(counts, np.int64)),
)
WORDS = st.integers(0, 2**64 - 1)


class Rows:
    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return self._chunks[0] if isinstance(self._chunks, tuple) else int(self._chunks.sum())

    def chunk_rows(self) -> Any:
        return self._chunks


@st.composite
def samplers(draw: st.DrawFn) -> dict[str, Any]:
    shuffle = draw(st.sampled_from(["exact", "window", False]))
    options = {"dataset": Rows(draw(CHUNKS)), "shuffle": shuffle, "seed": draw(WORDS), "substream": draw(WORDS)}
    if shuffle == "window":
        options |= {"lanes": draw(st.integers(1, 30)), "window": draw(st.integers(1, 9))}
    return options


def epoch_in_pieces(options: dict[str, Any], stops: list[tuple[int, int, int]], last_batch: str) -> list[int]:
    """The rows of an epoch; each stop is (ranks, rows of a rank, steps) until the next. Pads are cut by counting rows."""
    rows, state, found, turn = len(options["dataset"]), None, [], 0
    while len(found) < rows:
        size, of_rank, steps = stops[turn % len(stops)]
        turn += 1
        run = [Sampler(batch_size=of_rank, rank=rank, world_size=size, last_batch=last_batch, **options) for rank in range(size)]
        for sampler in run:
            if state is not None:
                sampler.load_state_dict(json.loads(state))
        if len({len(sampler) for sampler in run}) != 1 or len(run[0]) == 0:
            break
        iterators = [iter(sampler) for sampler in run]
        for _ in range(min(steps, len(run[0]))):
            step = [row for iterator in iterators for row in next(iterator)]
            found += sorted(step[: rows - len(found)]) if len(step) > rows - len(found) else sorted(step)
        states = {json.dumps(sampler.state_dict()) for sampler in run}
        assert len(states) == 1
        (state,) = states
        assert len(state) < 400
    return found


STOPS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 8), st.integers(1, 9)), min_size=1, max_size=5)


def check_chain(options: dict[str, Any], stops: list[tuple[int, int, int]], last_batch: str) -> None:
    rows = len(options["dataset"])
    found = epoch_in_pieces(options, stops, last_batch)
    if last_batch != "drop":
        assert sorted(found) == list(range(rows))
    assert len(set(found)) == len(found)


@given(samplers(), STOPS, st.sampled_from(["short", "drop", "pad"]))
@settings(max_examples=60, deadline=None)
def test_exactly_once_through_any_chain(options: dict[str, Any], stops: list[tuple[int, int, int]], last_batch: str) -> None:
    check_chain(options, stops, last_batch)


@pytest.mark.campaign
@given(samplers(), STOPS, st.sampled_from(["short", "drop", "pad"]))
@settings(max_examples=3000, deadline=None)
def test_exactly_once_through_any_chain_many_times(options: dict[str, Any], stops: list[tuple[int, int, int]], last_batch: str) -> None:
    check_chain(options, stops, last_batch)


@given(CHUNKS, st.integers(1, 50), st.integers(1, 50), WORDS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_window_order_is_the_same_from_anywhere(chunks: Any, lanes: int, window: int, seed: int, data: st.DataObject) -> None:
    order = Window(chunks, lanes, window, seed)
    whole = order.take(0, order.length)
    assert sorted(whole) == list(range(order.length))
    start = data.draw(st.integers(0, order.length))
    step = data.draw(st.integers(1, 20))
    count = data.draw(st.integers(0, -(-(order.length - start) // step)))
    assert (Window(chunks, lanes, window, seed).take(start, count, step) == whole[start::step][:count]).all()


@given(st.integers(1, 2**63 - 1), WORDS, st.data())
@settings(max_examples=100, deadline=None)
def test_a_permutation_has_an_inverse(n: int, word: int, data: st.DataObject) -> None:
    permutation = Permutation(n, 4, word)
    start = data.draw(st.integers(0, n - 1))
    found = permutation.take(start, min(9, n - start)).tolist()
    assert all(0 <= value < n for value in found)
    assert [permutation.find(value) for value in found] == list(range(start, start + len(found)))


@given(st.lists(st.lists(st.integers(0, 20), min_size=2, max_size=2).filter(any), min_size=1, max_size=5), WORDS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_mix_reads_every_dataset_in_order(weights: list[list[int]], seed: int, data: st.DataObject) -> None:
    mix, at = MixOrder(weights[0], seed), 0
    for own in weights[1:]:
        at += data.draw(st.integers(1, 200))
        mix = mix.reweighted(at, own)
    datasets, positions = mix.take(0, at + 300)
    for i in range(2):
        assert positions[datasets == i].tolist() == list(range(int((datasets == i).sum())))
    start = data.draw(st.integers(0, at + 300))
    assert (mix.take(start, at + 300 - start)[1] == positions[start:]).all()
