"""What an order costs: nanoseconds an index, and milliseconds and MB to take up a run in the middle of an epoch of 10^9 rows.

    python -m benchmarks.order
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np

from atlas_ds.order import Exact, Order, Window

ROWS, BATCH, POSITION = 10**9, 256, 7 * 10**8


def nanoseconds(order: Order, batches: int = 2000, rounds: int = 5) -> float:
    """Per index, of batches one after another; the best round."""
    best = float("inf")
    for number in range(rounds):
        start = POSITION + number * batches * BATCH
        begun = time.perf_counter()
        for batch in range(batches):
            order.take(start + batch * BATCH, BATCH)
        best = min(best, time.perf_counter() - begun)
    return best / batches / BATCH * 1e9


def restore(make: Callable[[], Order], rounds: int = 5) -> tuple[float, float, float]:
    """(least, median ms, peak MB) of making the order and taking one batch; a table of chunks that the caller holds is not counted."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        make().take(POSITION, BATCH)
        times.append((time.perf_counter() - begun) * 1e3)
    tracemalloc.start()
    make().take(POSITION, BATCH)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return min(times), float(np.median(times)), peak / 1e6


def main() -> None:
    unequal = 500 + np.random.default_rng(0).permutation(10**6) % 1001
    orders: dict[str, Callable[[], Order]] = {
        "exact": lambda: Exact(ROWS, 1),
        "window, 10^6 equal chunks": lambda: Window((ROWS, 1000), 192, 32, 1),
        "window, 10^6 unequal chunks": lambda: Window(unequal, 192, 32, 1),
        "window, 10^4 chunks of 100,000 (no tables)": lambda: Window((ROWS, 100_000), 192, 32, 1),
    }
    print(f"| {ROWS:.0e} rows, batches of {BATCH} | ns an index | restore, ms (least, median) | MB |\n|---|---|---|---|")
    for name, make in orders.items():
        least, median, peak = restore(make)
        print(f"| {name} | {nanoseconds(make()):.1f} | {least:.2f}, {median:.2f} | {peak:.2f} |")


if __name__ == "__main__":
    main()
