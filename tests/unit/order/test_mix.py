"""Mixes: exact shares, no gaps, the same from any position, weights that change."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import numpy as np
import pytest

from atlas_ds.order import MixOrder
from atlas_ds.order.mix_order import from_state, laps
from reference import order as reference


@pytest.mark.parametrize("weights", [[1], [5, 3, 1, 1], [0, 2, 0, 1], [1] * 300, [60_000, 5_536]])
def test_exact_shares_without_gaps(weights: list[int]) -> None:
    total = sum(weights)
    datasets, positions = MixOrder(weights, 7).take(0, 3 * total)
    assert datasets.dtype == positions.dtype == np.int64
    for block in datasets.reshape(3, total):
        assert np.bincount(block, minlength=len(weights)).tolist() == weights
    for i in range(len(weights)):
        assert positions[datasets == i].tolist() == list(range(3 * weights[i]))


def test_blocks_and_seeds_differ() -> None:
    datasets, _ = MixOrder([4, 4, 4], 1).take(0, 1200)
    assert len({tuple(block) for block in datasets.reshape(-1, 12)}) > 95
    assert (datasets != MixOrder([4, 4, 4], 2).take(0, 1200)[0]).any()


def test_any_piece_is_that_of_the_reference() -> None:
    rnd = random.Random(5)
    for _ in range(30):
        segments: list[tuple[int, list[int]]] = [(0, [rnd.randint(0, 4), rnd.randint(1, 4)])]
        for _ in range(rnd.randint(0, 3)):
            before = segments[-1]
            segments.append((before[0] + rnd.randint(1, 60), [rnd.randint(0, 9) for _ in range(len(before[1]) + rnd.randint(0, 1))] + [1]))
        seed = rnd.getrandbits(64)
        mix = MixOrder(segments[0][1], seed)
        for origin, weights in segments[1:]:
            mix = mix.reweighted(origin, weights)
        whole = list(itertools.islice(reference.mixed(segments, seed), 400))
        for _ in range(20):
            start = rnd.randrange(400)
            count = rnd.randint(0, 400 - start)
            datasets, positions = mix.take(start, count)
            assert list(zip(datasets.tolist(), positions.tolist())) == whole[start : start + count]
            assert mix.counts(start).tolist() == np.bincount([i for i, _ in whole[:start]], minlength=len(segments[-1][1])).tolist()


def test_resumed_by_one_number() -> None:
    mix = MixOrder([5, 3], 7).reweighted(1001, [1, 1, 2]).reweighted(2002, [3, 0, 1])
    datasets, positions = mix.take(0, 5000)
    for at in (0, 7, 1000, 1001, 1002, 3333):
        again, position = from_state(json.loads(json.dumps(mix.state_dict(at))))
        found = again.take(position, 500)
        assert (found[0] == datasets[at : at + 500]).all() and (found[1] == positions[at : at + 500]).all()
    assert len(json.dumps(mix.state_dict(5000))) < 400


def test_weights_change_only_what_comes_after() -> None:
    before = MixOrder([5, 3], 7)
    after = before.reweighted(13, [1, 1])
    assert (after.take(0, 13)[0] == before.take(0, 13)[0]).all()
    assert before.segments == ((0, (5, 3)),)
    assert after.reweighted(13, [0, 1]).segments == ((0, (5, 3)), (13, (0, 1)))
    assert set(after.reweighted(13, [0, 1]).take(13, 50)[0].tolist()) == {1}


def test_a_dataset_that_is_through_begins_anew() -> None:
    datasets, positions = MixOrder([2, 1], 3).take(0, 30)
    epochs, rows = laps(positions[datasets == 0], 7)
    assert epochs.tolist() == [k // 7 for k in range(20)] and rows.tolist() == [k % 7 for k in range(20)]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: MixOrder([]), ValueError, r"weights \[\] must sum to 1..65536, got 0"),
        (lambda: MixOrder([0, 0]), ValueError, "must sum to 1..65536, got 0"),
        (lambda: MixOrder([65_536, 1]), ValueError, "must sum to 1..65536, got 65537"),
        (lambda: MixOrder([-1, 2]), ValueError, "weight -1"),
        (lambda: MixOrder([0.5, 0.5]), TypeError, "weight must be an int, not 0.5"),  # type: ignore[list-item]
        (lambda: MixOrder([1], -1), ValueError, "seed -1"),
        (lambda: MixOrder([1]).reweighted(5, [1]).reweighted(4, [1]), ValueError, "position 4, before the previous change at 5"),
        (lambda: MixOrder([1, 1]).reweighted(5, [1]), ValueError, "1 weights for 2 datasets: give weight 0 to pause a dataset"),
        (lambda: MixOrder([1]).take(-1, 1), IndexError, "position -1"),
        (lambda: from_state({"version": 2}), ValueError, "not a state of a mix of version 1"),
        (lambda: from_state({"version": 1, "seed": 1}), ValueError, "has no position, segments"),
        (lambda: from_state({"version": 1, "seed": 1, "position": 0, "segments": []}), ValueError, "must have segments"),
        (lambda: from_state({"version": 1, "seed": 1, "position": 0, "segments": [[3, [1]]]}), ValueError, "the first from position 0"),
    ],
)
def test_mistakes_are_refused(make: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        make()
