"""Index arithmetic: positions, composition, shares."""

import numpy as np
import pytest

from atlas_ds.dataset.views import index_rows, positions, split_rows


def test_positions():
    assert positions(slice(8, 2, -3), 10).tolist() == [8, 5] and positions([-1, 0], 3).tolist() == [2, 0] and positions([], 0).tolist() == []
    assert positions([True, False, True], 3).tolist() == [0, 2] and positions(range(3), 3).dtype == np.int64
    for bad, error in (([3], IndexError), ([-4], IndexError), (np.array([2**63], np.uint64), IndexError), ([0.5], TypeError), ([[0]], TypeError), ([True], IndexError)):
        with pytest.raises(error):
            positions(bad, 3)


def test_a_slice_of_a_range_stays_a_range():
    assert index_rows(range(10, 100), slice(5, 50, 3)) == range(15, 60, 3)
    assert index_rows(range(100)[::-1], slice(None, None, -2)) == range(100)[::-1][::-2]
    assert index_rows(range(10, 20, 2), [4, 0]).tolist() == [18, 10]


def test_a_slice_of_an_array_is_a_copy():
    """So that a small view does not keep a large index alive."""
    rows = np.arange(100)
    part = index_rows(rows, slice(3, 5))
    assert part.tolist() == [3, 4] and part.base is None


def test_shares_are_disjoint_and_complete():
    rng = np.random.default_rng(0)
    for _ in range(50):
        count = int(rng.integers(0, 50))
        fractions = rng.dirichlet(np.ones(int(rng.integers(1, 6)))).tolist()
        for seed in (None, 3):
            parts = split_rows(range(count), fractions, seed)
            assert sorted(int(row) for part in parts for row in part) == list(range(count)) and len(parts) == len(fractions)
