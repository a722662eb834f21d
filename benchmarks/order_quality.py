"""Draws docs/order-quality.png: how near a window order comes to a true shuffle, by how much it keeps open. Lines are Window.quality, dots are
simulated: labels of chunks drawn at random, and the variance of the means of batches over whole epochs.

    python -m benchmarks.order_quality
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from atlas_ds.order import Window

ROWS, BATCH, SEEDS = 1_000_000, 256, 40
CHUNKS = (1000, 4000)
ICCS = (1.0, 0.3, 0.05)
LANES = ((16, "C0", "o"), (64, "C1", "s"), (192, "C3", "D"))
TARGET = Path(__file__).parents[1] / "docs" / "order-quality.png"


def windows(chunks: int, lanes: int) -> list[int]:
    """1, 2, 4, ... chunks, up to what keeps two thirds of all chunks open: past that an epoch has no middle."""
    return [1 << k for k in range(12) if lanes << k <= chunks * 2 // 3]


def simulated(chunks: int, lanes: int, window: int) -> dict[float, float]:
    """D for each ICC: the means of batches of one order, of values that are alike within chunks."""
    per_chunk = ROWS // chunks
    found: dict[float, list[float]] = {icc: [] for icc in ICCS}
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        of_chunk = np.repeat(standard(rng.standard_normal(chunks)), per_chunk)
        of_row = standard(rng.standard_normal(ROWS))
        rows = Window((ROWS, per_chunk), lanes, window, seed).take(0, ROWS // BATCH * BATCH)
        chunk_means, row_means = (values[rows].reshape(-1, BATCH).mean(1) for values in (of_chunk, of_row))
        for icc in ICCS:
            means = np.sqrt(icc) * chunk_means + np.sqrt(1 - icc) * row_means
            found[icc].append(float((means**2).mean() * BATCH))
    return {icc: float(np.mean(values)) for icc, values in found.items()}


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def main() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(CHUNKS), len(ICCS), figsize=(12, 7), sharey=True, sharex="row", layout="constrained")
    furthest = 0.0
    for row, chunks in zip(axes, CHUNKS):
        for lanes, colour, mark in LANES:
            sizes = windows(chunks, lanes)
            if not sizes:
                continue
            dots = [simulated(chunks, lanes, size) for size in sizes]
            told = [f"{dot[1.0]:.2f} ({Window((ROWS, ROWS // chunks), lanes, size).quality(BATCH):.2f})" for dot, size in zip(dots, sizes)]
            print(f"{chunks} chunks, {lanes} lanes, ICC 1, simulated (predicted): {', '.join(told)}", file=sys.stderr)
            for axis, icc in zip(row, ICCS):
                lines = [Window((ROWS, ROWS // chunks), lanes, size).quality(BATCH, icc) for size in sizes]
                points = [dot[icc] for dot in dots]
                furthest = max(furthest, *(abs(point / line - 1) for point, line in zip(points, lines)))
                opened = [lanes * size for size in sizes]
                axis.plot(opened, lines, color=colour, label=f"{lanes} lanes")
                axis.plot(opened, points, mark, color=colour, markersize=4)
        for axis, icc in zip(row, ICCS):
            axis.axhline(1, color="0.6", linewidth=0.8)
            axis.set(xscale="log", yscale="log", title=f"{chunks:,} chunks of {ROWS // chunks:,} rows, ICC {icc:g}")
            axis.set_xlabel("chunks open (lanes x window)")
            axis.set_yticks([0.8, 1, 1.5, 2, 4, 8, 16], ["0.8", "1", "1.5", "2", "4", "8", "16"], minor=False)
            opened = [16 << k for k in range(8) if 16 << k <= chunks]
            axis.set_xticks(opened, [f"{number:,}" for number in opened])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        row[0].set_ylabel("D (1: as good as a true shuffle)")
    axes[0, 0].legend()
    figure.suptitle(f"Window order, {ROWS:,} rows, batches of {BATCH}: predicted (lines) and simulated (dots)")
    figure.savefig(TARGET, dpi=100, metadata={"Software": None})
    print(f"no dot is further than {100 * furthest:.1f} % from its line")


if __name__ == "__main__":
    main()
