"""Permutations: bijections for every size, inverses, keys, and how random they are."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from atlas_ds import _core
from atlas_ds.order import Exact, Permutation

N = 1_281_167  # rows of ImageNet


def is_bijection(found: np.ndarray, n: int) -> bool:
    if len(found) != n or (n and (found.min() < 0 or found.max() >= n)):
        return False
    seen = np.zeros(n, np.bool_)
    seen[found] = True
    return bool(seen.all())


def test_the_check_finds_a_doubled_row() -> None:
    assert not is_bijection(np.array([0, 1, 1, 3]), 4)
    assert not is_bijection(np.array([0, 1, 2, 4]), 4)


def test_bijection_of_every_small_size() -> None:
    for n in range(4097):
        assert is_bijection(Permutation(n, 4, n % 3, n, 0).take(0, n), n), n


@pytest.mark.parametrize("power", [pytest.param(k, marks=pytest.mark.campaign) if k > 20 else k for k in range(13, 25)])
def test_bijection_around_powers_of_two(power: int) -> None:
    for n in (2**power - 1, 2**power, 2**power + 1):
        for seed in (0, 1):
            assert is_bijection(Permutation(n, 4, 0, seed, 0).take(0, n), n), (n, seed)


@pytest.mark.parametrize("n", [65_536, 65_537, 65_792, 66_049, 100_003, 10**6])
def test_bijection_around_the_change_of_methods(n: int) -> None:
    assert is_bijection(Permutation(n, 4, 1, 2, 3).take(0, n), n)


@pytest.mark.parametrize("n", [1, 7, 65_536, 65_537, N, 10**9, 2**53 + 1, 2**62, 2**63 - 1])
def test_find_is_the_inverse(n: int) -> None:
    permutation = Permutation(n, 4, 0, 9, 1)
    for place in sorted({0, n // 3, n // 2, n - 1}):
        assert permutation.find(int(permutation.take(place, 1)[0])) == place


@pytest.mark.parametrize("n", [5, 65_536, 70_000, 2**63 - 1])
def test_any_piece_is_the_piece_of_the_whole(n: int) -> None:
    permutation = Permutation(n, 4, 5)
    first = max(0, n - 1000)
    whole = permutation.take(first, n - first)
    for start, count in [(0, 0), (0, 1), (1, 3), (3, 1), (n - first - 1, 1), ((n - first) // 2, (n - first) // 3)]:
        assert permutation.take(first + start, count).tolist() == whole[start : start + count].tolist()
    assert whole.min() >= 0 and whole.dtype == np.int64


def test_past_the_end_is_refused() -> None:
    for n in (0, 5, 70_000):
        for start, count in [(n, 1), (n + 1, 0), (0, n + 1), (max(n - 1, 0), 2 + n)]:
            with pytest.raises(IndexError):
                Permutation(n, 1).take(start, count)
    with pytest.raises(IndexError):
        Permutation(5, 1).find(5)
    with pytest.raises(ValueError, match=r"length 9223372036854775808 is not in \[0, 9223372036854775807\]"):
        Permutation(2**63)
    with pytest.raises(ValueError, match="the limit is 2\\^63 - 1"):
        _core.Permutation(2**63)


def test_seed_and_epoch_do_not_add_up() -> None:
    orders = {tuple(Exact(1000, seed, epoch, substream).take(0, 1000)) for seed in range(4) for epoch in range(4) for substream in range(4)}
    assert len(orders) == 64


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    for name in ("seed", "epoch", "substream"):
        with pytest.raises(ValueError, match=rf"{name} {seed} is not in \[0, 2\^64\)"):
            Exact(10, **{name: seed})
    with pytest.raises(TypeError, match=r"seed must be an int, not 1\.5"):
        Exact(10, seed=1.5)  # type: ignore[arg-type]


def test_pickles() -> None:
    permutation = Permutation(70_000, 4, 2**64 - 1)
    assert pickle.loads(pickle.dumps(permutation)).take(5, 5).tolist() == permutation.take(5, 5).tolist()
    exact = Exact(100, 1, 2, 3)
    assert pickle.loads(pickle.dumps(exact)).take(0, 100).tolist() == exact.take(0, 100).tolist()


# --- how random it is ---------------------------------------------------------


def z_of(cells: np.ndarray, freedom: int) -> float:
    """Chi-square of equally likely cells, as a normal deviate."""
    expected = cells.sum() / cells.size
    return float((((cells - expected) ** 2).sum() / expected - freedom) / np.sqrt(2 * freedom))


def joint(x: np.ndarray, y: np.ndarray, bins: int = 256) -> np.ndarray:
    return np.bincount(x * bins // N * bins + y * bins // N, minlength=bins * bins)


def statistics(take: Callable[[int], np.ndarray]) -> dict[str, float]:
    """take(epoch): an order of N rows. Dispersion of (position, row) over 256 x 256 cells; deviates of the rest."""
    order, after = take(0), take(1)
    cells = joint(np.arange(N), order)
    freedom = 255 * 255  # both margins are fixed
    return {
        "dispersion": 1 + z_of(cells, freedom) * np.sqrt(2 / freedom),
        "serial difference": z_of(np.bincount((order[1:] - order[:-1]) % N * 1024 // N, minlength=1024), 1023),
        "epoch to epoch": z_of(joint(order, after), freedom),
        "stride 4096": z_of(np.bincount((order[4096:] - order[:-4096]) % N * 1024 // N, minlength=1024), 1023),
    }


def test_statistics_of_ten_seeds() -> None:
    found = [statistics(lambda epoch, seed=seed: Exact(N, seed, epoch).take(0, N)) for seed in range(10)]  # type: ignore[misc]
    assert abs(np.mean([one.pop("dispersion") for one in found]) - 1) < 0.01
    for one in found:
        assert all(abs(z) < 4 for z in one.values()), one


def test_statistics_find_a_bad_order() -> None:
    """A linear order, and one whose next epoch is a shift of it."""
    linear = np.arange(N) * 7_654_321 % N
    found = statistics(lambda epoch: (linear + 1000 * epoch) % N)
    assert abs(found["dispersion"] - 1) > 0.01
    assert all(abs(found[name]) > 4 for name in ("serial difference", "epoch to epoch", "stride 4096"))
