"""Who reads what: steps, ranks and tails."""

from __future__ import annotations

import numpy as np
import pytest

from atlas_ds.order import EpochPlan, Exact, Order, OrderState, Sequential, Window
from atlas_ds.order.partition import LAST_BATCHES, rank_positions, step_positions, steps_left
from reference import order as reference

RANKS = [r for r in range(1, 121) if 960 % r == 0]


def plan(order: Order, batch: int, rank: int, size: int, last_batch: str, position: int = 0) -> EpochPlan:
    state = OrderState(
        dataset="rows", shuffle=False, seed=0, substream=0, epoch=0, position=position, batch=batch, lanes=None, window=None, chunk=None, last_batch=last_batch
    )
    return EpochPlan(order, state, rank, size)


def check_epoch(order: Order, batch: int, size: int, last_batch: str, begin: int = 0) -> None:
    """One epoch from begin on, by all ranks: exactly once, equal lengths, equal ranks, flagged repeats."""
    n, whole = order.length, order.take(0, order.length)
    plans = [plan(order, batch, rank, size, last_batch, begin) for rank in range(size)]
    steps = {one.steps for one in plans}
    assert len(steps) == 1
    (count,) = steps
    delivered, repeats = [], 0
    for step in range(count):
        parts = [one.rows(step) for one in plans]
        real = np.concatenate([rows if mask is None else rows[mask] for rows, mask in parts])
        first = begin + step * batch
        assert sorted(real) == sorted(whole[first : first + batch])
        full = first + batch <= n
        if full or last_batch == "pad":
            assert {len(rows) for rows, _ in parts} == {batch // size}
        assert all((mask is None) == (full or last_batch != "pad") for _, mask in parts)
        for rank, (rows, mask) in enumerate(parts):
            lanes, even = (order.lanes, order.even) if isinstance(order, Window) else (0, 0)
            positions = reference.rank_positions(n, begin, batch, step, rank, size, last_batch, lanes, even)
            assert rows.tolist() == [whole[p % n] for p in positions]
            if mask is not None:
                assert mask.dtype == np.bool_ and mask.tolist() == [p < n for p in positions]
                repeats += int((~mask).sum())
        delivered += real.tolist()
        assert plans[0].state(step + 1).position == min(n, first + batch)
    wanted = whole[begin : n if last_batch != "drop" else begin + (n - begin) // batch * batch]
    assert sorted(delivered) == sorted(wanted)
    assert repeats == (-(n - begin) % batch if last_batch == "pad" else 0)


@pytest.mark.parametrize("last_batch", LAST_BATCHES)
def test_exactly_once_for_every_small_size(last_batch: str) -> None:
    for n in range(14):
        for size in (1, 2, 3, 5, 8):
            for of_rank in (1, 2, 3):
                for order in (Exact(n, 1), Window((n, 2), 6, 2, 1)):
                    check_epoch(order, size * of_rank, size, last_batch)
                    check_epoch(order, size * of_rank, size, last_batch, begin=n // 3)


@pytest.mark.campaign
@pytest.mark.parametrize("last_batch", LAST_BATCHES)
def test_exactly_once_for_every_size_in_full(last_batch: str) -> None:
    for n in range(80):
        for size in range(1, 13):
            for of_rank in (1, 2, 3, 7):
                for order in (Exact(n, 1), Sequential(n), Window((n, 3), 6, 2, 1), Window(np.arange(1, 1 + n % 7), 4, 2, 1)):
                    for begin in {0, order.length // 3, order.length}:
                        check_epoch(order, size * of_rank, size, last_batch, begin=begin)


def check_world_sizes(order: Order, ranks: list[int], steps: list[int]) -> None:
    for step in steps:
        alone = plan(order, 960, 0, 1, "drop").rows(step)[0]
        for size in ranks:
            parts = [plan(order, 960, rank, size, "drop").rows(step)[0] for rank in range(size)]
            assert {len(part) for part in parts} == {960 // size}
            assert sorted(np.concatenate(parts)) == sorted(alone), (size, step)


@pytest.mark.parametrize("order", [Exact(100_000, 3), Window((100_000, 50), 192, 8, 3), Window((100_000, 50), 50, 4, 3)], ids=["exact", "window", "window-50"])
def test_batches_of_960_are_the_same_for_all_ranks(order: Order) -> None:
    check_world_sizes(order, RANKS, [0, 17, 100_000 // 960 - 1])


@pytest.mark.campaign
def test_batches_of_960_are_the_same_for_all_ranks_in_every_step() -> None:
    for order in (Exact(100_000, 3), Window((100_000, 50), 192, 8, 3), Window(np.arange(1, 440), 192, 8, 3)):
        check_world_sizes(order, RANKS, list(range(order.length // 960)))


def test_a_rank_reads_its_own_chunks_only() -> None:
    order = Window((100_000, 50), 48, 8, 3)
    live = order.even // 960
    touched = [set() for _ in range(8)]
    for rank in range(8):
        for step in range(live):
            touched[rank] |= set((plan(order, 960, rank, 8, "drop").rows(step)[0] // 50).tolist())
    assert live > 50
    assert sum(map(len, touched)) == len(set.union(*touched))
    beyond = [set((plan(order, 960, rank, 8, "short").rows(live)[0] // 50).tolist()) for rank in range(8)]
    assert sum(map(len, beyond)) > len(set.union(*beyond)), "this step is past the even part: it is dealt as slices"


def test_a_short_step_with_fewer_rows_than_ranks() -> None:
    plans = [plan(Sequential(11), 8, rank, 8, "short") for rank in range(8)]
    assert [one.steps for one in plans] == [2] * 8
    assert [len(one.rows(1)[0]) for one in plans] == [0, 0, 1, 0, 0, 1, 0, 1]


def test_padding_wraps_around_more_than_once() -> None:
    rows, mask = plan(Sequential(3), 8, 0, 1, "pad").rows(0)
    assert rows.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert mask is not None and mask.tolist() == [True] * 3 + [False] * 5
    assert plan(Sequential(0), 8, 0, 1, "pad").steps == 0


def test_a_step_that_is_not_there() -> None:
    for step in (-1, 1):
        with pytest.raises(IndexError, match="of 1"):
            plan(Sequential(9), 8, 0, 1, "drop").rows(step)


def test_arithmetic() -> None:
    assert [steps_left(10, 3, 4, last_batch) for last_batch in LAST_BATCHES] == [1, 2, 2]
    assert [step_positions(10, 3, 4, 1, last_batch) for last_batch in LAST_BATCHES] == [range(7, 11), range(7, 10), range(7, 11)]
    assert rank_positions(range(7, 13), 6, 1, 3) == range(9, 11)
    assert list(rank_positions(range(7, 13), 6, 1, 3, lanes=6, even=13)) == [7, 10]
    assert rank_positions(range(7, 13), 6, 1, 3, lanes=6, even=12) == range(9, 11)
    assert rank_positions(range(7, 13), 6, 1, 3, lanes=8, even=13) == range(9, 11)
