"""Draws what a format takes against how fast a random row is read, for all settings of Atlas and for the others.

    python -m benchmarks.size_speed benchmarks/results/FILE.json docs/size-speed.png

The results must have the questions size and get. Up and to the left is better.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TITLES = {"fashion": "images, 28 x 28 uint8", "tokens_ranked": "2,048 token ids, uint16", "text": "texts of 100 to 1,000 bytes"}
OURS = {
    "atlas": "Atlas",
    "atlas-zstd": "Atlas, zstd",
    "atlas-lz4": "Atlas, lz4",
    "atlas-scan": "Atlas, scan",
    "atlas-scan-1m": "Atlas, scan, 1 MiB blocks",
}


def points(body: dict[str, Any], workload: str) -> dict[str, tuple[float, float]]:
    """Of each peer: its size as a share of the values', and rows read in a second."""
    found = {r["question"]: r for r in body["results"] if r["workload"] == workload}
    size, get = found["size"], found["get"]
    return {peer: (size["median"][peer] / size["raw_bytes"], rate) for peer, rate in get["median"].items() if peer in size["median"]}


def draw(body: dict[str, Any], target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    asked = {r["workload"] for r in body["results"] if r["question"] == "get"}
    chosen = [workload for workload in TITLES if workload in asked]
    figure, axes = pyplot.subplots(1, len(chosen), figsize=(5.2 * len(chosen), 4.6), squeeze=False, layout="constrained")
    for axis, workload in zip(axes[0], chosen, strict=True):
        for peer, (share, rate) in points(body, workload).items():
            colour = "#c0392b" if peer in OURS else "#34495e"
            axis.scatter(share, rate, color=colour, s=40 if peer in OURS else 22, zorder=3)
            axis.annotate(OURS.get(peer, peer), (share, rate), xytext=(4, 4), textcoords="offset points", fontsize=8, color=colour)
        axis.set(yscale="log", title=TITLES[workload], xlabel="size on disk / size of the values")
        axis.margins(x=0.25, y=0.08)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("ds[i], random, rows/s")
    figure.savefig(target, dpi=110)


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    draw(json.loads(source.read_text()), target)


if __name__ == "__main__":
    main()
