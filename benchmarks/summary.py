"""Joins result files of one machine into one, and writes from it the README's table and plot.

    python -m benchmarks.summary benchmarks/results/2026-11-21.json [more.json to join in first ...]
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import human

ROOT = Path(__file__).parents[1]
WORKLOADS = ("fashion", "embeddings", "tokens", "text", "jpeg")
QUESTIONS = {
    "get": "`ds[i]`, random, examples/s",
    "get_view": "`ds[i]` with `copy=False`, examples/s",
    "batch_stack": "256 random rows as columns, rows/s (peers: rows one by one, stacked)",
    "batch": "256 random rows as columns, rows/s (peers: their best columnar way)",
    "scan": "all examples in order, examples/s",
    "scan_batches": "all rows in batches of 1,024, rows/s",
    "epoch": "shuffled epoch, DataLoader, 2 workers, examples/s",
    "loader": "shuffled epoch, Loader, examples/s (peers: DataLoader, 2 workers, best settings)",
    "loader_no_workers": "shuffled epoch, Loader, examples/s (peers: DataLoader without workers, best settings)",
    "loader_bare": "shuffled epoch, Loader, examples/s",
    "write": "write, with fsync, MB/s",
    "size": "size of the files, bytes",
}
LIMITS = {  # what is no format but a limit: numpy.take on a memmap, ds.batch without a Loader
    "memmap": "memory's limit",
    "atlas-bare": "a bare loop of `ds.batch`",
}


def join(target: Path, sources: list[Path]) -> dict[str, Any]:
    """All results in one file; a later file's answer to a question replaces an earlier one's."""
    body = json.loads((sources[0] if sources else target).read_text())
    answers = {}
    for path in sources or [target]:
        for result in json.loads(path.read_text())["results"]:
            answers[result["question"], result["workload"]] = result
    body["results"] = list(answers.values())
    target.write_text(json.dumps(body, indent=1) + "\n")
    return body


def ratio(result: dict[str, Any], ours: str, peer: str) -> float:
    """Median over the rounds of how many times better ours is."""
    pairs = zip(result["rounds"][ours], result["rounds"][peer], strict=True)
    return statistics.median(a / b if result["higher_is_better"] else b / a for a, b in pairs)


def cell(result: dict[str, Any] | None, ours: str) -> str:
    """Atlas's figure, and the ratio to the best peer; below 1 the peer is better."""
    if result is None or ours not in result["rounds"]:
        return ""
    text = human(result["median"][ours])
    peers = [peer for peer in result["rounds"] if not peer.startswith("atlas") and peer not in LIMITS]
    if peers:
        best = min(peers, key=lambda peer: ratio(result, ours, peer))
        text += f" · **{ratio(result, ours, best):.2g}x** {best}"
    limits = [f"{ratio(result, ours, limit):.2g}x {words}" for limit, words in LIMITS.items() if limit in result["rounds"]]
    return ", ".join([text, *limits])


def table(body: dict[str, Any]) -> str:
    found = {(result["question"], result["workload"]): result for result in body["results"]}
    lines = ["| | " + " | ".join(WORKLOADS) + " |", "|---|" + "---|" * len(WORKLOADS)]
    for question, words in QUESTIONS.items():
        for ours, suffix in (("atlas", ""), ("atlas-scan", ", `access=\"scan\"`")):
            cells = [cell(found.get((question, workload)), ours) for workload in WORKLOADS]
            if any(cells):
                lines.append(f"| {words}{suffix} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(body: dict[str, Any], target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [result for result in body["results"] if result["question"] in ("get", "batch")]
    figure, axes = pyplot.subplots(2, 5, figsize=(15, 6))
    for row, question in zip(axes, ("get", "batch"), strict=True):
        for axis, workload in zip(row, WORKLOADS, strict=True):
            result = next(r for r in results if (r["question"], r["workload"]) == (question, workload))
            peers = sorted(result["median"], key=lambda peer: result["median"][peer])
            colours = ["#c0392b" if peer == "atlas" else "#7f8c8d" for peer in peers]
            axis.barh(peers, [result["median"][peer] / 1e6 for peer in peers], color=colours)
            axis.set_title(f"{workload}: {question}, M/s", fontsize=9)
            axis.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def main() -> None:
    target, *sources = map(Path, sys.argv[1:])
    body = join(target, sources)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition("<!-- bench:start -->\n")
    intro = (
        f"Measured on {body['machine'].get('cpu') or 'one machine'}, 2 cores, files in the page cache, "
        f"medians, each ratio from one run ([all figures](benchmarks/results/{target.name})).\n"
        "In each cell: Atlas, and how many times better than the **best** peer at it; below 1x the peer is better.\n\n"
    )
    note = "\n\n![ds[i] and batches, all peers](docs/benchmarks.png)\n"
    readme.write_text(before + "<!-- bench:start -->\n" + intro + table(body) + note + "<!-- bench:end -->" + rest.partition("<!-- bench:end -->")[2])
    plot(body, ROOT / "docs" / "benchmarks.png")


if __name__ == "__main__":
    main()
