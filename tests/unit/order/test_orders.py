"""The orders of an epoch: windows against the plain reference, restoring anywhere, chunks, memory and quality."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from atlas_ds.order import Exact, Sequential, Window
from reference import order as reference


def random_chunks(rnd: random.Random) -> Any:
    if rnd.random() < 0.5:
        return rnd.randint(0, 600), rnd.randint(1, 40)
    return np.array([rnd.randint(1, rnd.choice([2, 9, 60])) for _ in range(rnd.choice([1, 2, 3, 8, 40, 150]))])


def compare_with_reference(seed: int) -> None:
    rnd = random.Random(seed)
    chunks, lanes, size = random_chunks(rnd), rnd.choice([1, 2, 3, 4, 8, 64]), rnd.choice([1, 2, 3, 7, 50])
    names = rnd.getrandbits(64), rnd.getrandbits(64), rnd.getrandbits(64)
    order, slow = Window(chunks, lanes, size, *names), reference.Window(chunks, lanes, size, *names)
    rows = list(slow)
    assert sorted(rows) == list(range(order.length)), (seed, chunks, lanes, size)
    assert order.take(0, order.length).tolist() == rows, (seed, chunks, lanes, size)
    assert (order.lanes, order.even) == (slow.lanes, slow.even)
    for _ in range(20):
        start, step = rnd.randrange(order.length + 1), rnd.randint(1, 5)
        count = rnd.randint(0, -(-(order.length - start) // step))
        assert order.take(start, count, step).tolist() == rows[start::step][:count]
        assert Window(chunks, lanes, size, *names).take(start, count).tolist() == rows[start : start + count]


def test_windows_are_those_of_the_reference() -> None:
    for seed in range(150):
        compare_with_reference(seed)


@pytest.mark.campaign
def test_windows_are_those_of_the_reference_many_times() -> None:
    for seed in range(150, 8000):
        compare_with_reference(seed)


@pytest.mark.parametrize(("rows", "per_chunk"), [(1_200_000, 5000), (1_100_001, 3001), (300_000, 1), (200_001, 2)])
def test_big_windows_and_many_chunks(rows: int, per_chunk: int) -> None:
    """Windows of more than 65,536 rows and more than 65,536 chunks; equal chunks are those of the array that says the same."""
    order = Window((rows, per_chunk), 8, 40, 5, 1)
    whole = order.take(0, rows)
    assert (np.bincount(whole, minlength=rows) == 1).all()
    counts = np.diff(np.append(np.arange(0, rows, per_chunk), rows))
    assert (Window(counts, 8, 40, 5, 1).take(0, rows) == whole).all()
    for start in (1, rows // 3, order.even - 1, min(order.even, rows - 1), rows - 1):
        assert Window((rows, per_chunk), 8, 40, 5, 1).take(start, 1)[0] == whole[start]


def test_the_short_chunk_anywhere() -> None:
    """The last chunk is dealt to another lane and place with every seed; every window after it is displaced."""
    for seed in range(60):
        counts = np.array([10] * 29 + [3])
        assert (Window((293, 10), 4, 3, seed).take(0, 293) == Window(counts, 4, 3, seed).take(0, 293)).all()


def test_at_most_one_window_of_a_lane_is_open_and_they_open_in_turn() -> None:
    rows, per_chunk, lanes, size = 64_000, 10, 16, 8
    order = Window((rows, per_chunk), lanes, size, 3)
    chunks = order.take(0, order.even).reshape(-1, lanes) // per_chunk
    opened = []  # offsets at which a lane begins a window: a chunk not seen before, after all before it are done
    for lane in range(lanes):
        column = chunks[:, lane]
        first, last = {}, {}
        for offset, chunk in enumerate(column.tolist()):
            first.setdefault(chunk, offset)
            last[chunk] = offset
        ends = sorted(last.values())
        assert max(sum(first[c] <= at <= last[c] for c in first) for at in range(0, len(column), 7)) <= size
        opened.append({end + 1 for end in ends if all(first[c] > end or last[c] <= end for c in first)})
    common = set.intersection(*opened) - {len(chunks)}
    assert not common, "all lanes open a window at once"


def test_chunks_at_names_the_chunks_of_positions() -> None:
    counts = np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
    for chunks in (counts, (44, 5)):
        order = Window(chunks, 3, 2, 1)
        of_row = np.repeat(np.arange(len(counts)), counts) if isinstance(chunks, np.ndarray) else np.arange(44) // 5
        for start in range(0, 44, 3):
            for step in (1, 3):
                wanted = list(dict.fromkeys(of_row[order.take(0, 44)[start : start + 13 : step]].tolist()))
                assert order.chunks_at(start, min(44, start + 13), step).tolist() == wanted


def test_looking_ahead_does_not_change_what_comes() -> None:
    order = Window((20_000, 16), 12, 4, 8)
    whole = order.take(0, 20_000)
    for start in range(0, 16_000, 500):
        assert (order.take(start + 4000, 10) == whole[start + 4000 : start + 4010]).all()
        assert (order.take(start, 500) == whole[start : start + 500]).all()


def test_empty_and_tiny() -> None:
    for order in (Sequential(0), Exact(0), Window((0, 5), 3, 2), Window(np.empty(0, np.int64), 3, 2)):
        assert order.length == 0 and order.take(0, 0).tolist() == []
        with pytest.raises(IndexError):
            order.take(0, 1)
    assert Window((1, 256), 192, 32).take(0, 1).tolist() == [0]
    assert Sequential(10).take(2, 3, 2).tolist() == [2, 4, 6]
    assert Exact(10, 1).take(1, 3, 4).tolist() == Exact(10, 1).take(0, 10)[1::4].tolist()


@pytest.mark.parametrize("order", [Sequential(10), Exact(10), Exact(70_000), Window((10, 2), 3, 2), Window((70_000, 2), 3, 2)])
def test_past_the_end_is_refused(order: Any) -> None:
    for start, count, step in [(-1, 1, 1), (0, -1, 1), (order.length, 1, 1), (order.length - 1, 2, 1), (0, 2, order.length), (0, 1, 0)]:
        with pytest.raises((IndexError, OverflowError)):
            order.take(start, count, step)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="chunk 1 has 0 rows: every chunk needs at least one"):
        Window(np.array([1, 0, 3]), 2, 2)
    with pytest.raises(TypeError, match="not float64 of shape"):
        Window(np.array([1.0]), 2, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"lanes 0 is not in \[1, 1048576\]"):
        Window((10, 2), 0, 2)
    with pytest.raises(ValueError, match=r"window 0 is not in \[1, 2147483647\]"):
        Window((10, 2), 2, 0)
    with pytest.raises(ValueError, match="the limit is 2\\^62"):
        Window(np.full(4, 2**61), 2, 2)


def test_a_changed_array_changes_nothing() -> None:
    counts = np.array([3, 5, 7])
    order = Window(counts, 2, 2)
    before = order.take(0, 15).tolist()
    counts[:] = 1
    assert order.take(0, 15).tolist() == before and order.chunks_at(0, 15).max() == 2


def test_threads_and_processes_see_one_order() -> None:
    order = Window((100_000, 50), 24, 8, 5, 1, 2)
    whole = order.take(0, 100_000)
    assert (pickle.loads(pickle.dumps(order)).take(40_000, 500) == whole[40_000:40_500]).all()
    with ThreadPoolExecutor(8) as pool:
        for start, part in zip(range(0, 100_000, 250), pool.map(lambda start: order.take(start, 250), range(0, 100_000, 250))):
            assert (part == whole[start : start + 250]).all()
    code = "from atlas_ds.order import Window; print(Window((100_000, 50), 24, 8, 5, 1, 2).take(40_000, 20).tolist())"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == str(whole[40_000:40_020].tolist())


# --- memory -------------------------------------------------------------------


def peak_bytes(make: Any) -> int:
    make()  # what is made once in a process is not counted
    tracemalloc.start()
    make()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_rows() -> None:
    assert peak_bytes(lambda: Exact(2**62, 1).take(7 * 10**8, 256)) < 20_000
    small = peak_bytes(lambda: Window((10**8, 256), 192, 32, 1).take(7 * 10**7, 256))
    large = peak_bytes(lambda: Window((10**12, 256), 192, 32, 1).take(7 * 10**11, 256))
    assert abs(large - small) < 140_000 and large < 10 << 20  # 140,000: a table of up to 65,536 chunks, and noise


def test_memory_of_a_million_unequal_chunks() -> None:
    counts = 500 + np.arange(10**6) % 1001
    assert peak_bytes(lambda: Window(counts, 192, 32, 1).take(7 * 10**8, 256)) < 50 << 20


# --- quality --------------------------------------------------------------------


def simulated(chunks: int, per_chunk: int, lanes: int, size: int, batch: int, seeds: int) -> float:
    found = []
    for seed in range(seeds):
        label = np.repeat(np.random.default_rng(seed).permutation(np.arange(chunks) % 2) * 2.0 - 1, per_chunk)
        rows = Window((len(label), per_chunk), lanes, size, seed).take(0, len(label) // batch * batch)
        found.append(float((label[rows].reshape(-1, batch).mean(1) ** 2).mean() * batch))
    return float(np.mean(found))


@pytest.mark.parametrize(("config", "seeds", "near"), [((4000, 50, 16, 4, 64), 8, 0.06), ((384, 256, 192, 32, 256), 12, 0.15), ((6000, 20, 192, 32, 256), 12, 0.06)])
def test_quality_is_what_simulation_gives(config: tuple[int, int, int, int, int], seeds: int, near: float) -> None:
    chunks, per_chunk, lanes, size, batch = config
    predicted = Window((chunks * per_chunk, per_chunk), lanes, size).quality(batch)
    assert abs(simulated(*config, seeds) / predicted - 1) < near


def test_quality_of_extremes() -> None:
    rows = 100_000
    true = 1 - 255 / (rows - 1)
    assert Window((rows, 100), 8, 4).quality(256, icc=0.0) == pytest.approx(true, abs=0.01)
    assert Window((rows, 1), 8, 4).quality(256) == pytest.approx(true)
    assert Window((rows, rows), 8, 4).quality(256) == pytest.approx(true)
    assert Window((rows, 100), 1, 10_000).quality(256) == pytest.approx(true, abs=0.01)
    assert Window((rows, 100), 1, 1).quality(100) > 90
    assert Window((0, 1), 1, 1).quality(1) == 1.0
    assert Window((3, 1), 2, 1).quality(256) == pytest.approx(0)  # the batch is the epoch
