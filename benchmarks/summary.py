"""Joins result files of one machine, and writes the tables of README.md and docs/benchmarks.md and a plot.

    python -m benchmarks.summary benchmarks/results/2026-11-21.json [more.json to join in first ...]
    python -m benchmarks.summary --readme benchmarks/results/2026-11-29-jpeg.json
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import human

ROOT = Path(__file__).parents[1]
START, END = "<!-- bench:start -->", "<!-- bench:end -->"
WORKLOADS = ("fashion", "embeddings", "tokens", "text", "jpeg")
QUESTIONS = {
    "get": "`ds[i]`, random, rows/s",
    "get_view": "`ds[i]` with `copy=False`, random, rows/s",
    "batch_stack": "256 random rows as columns, rows/s (others: rows read one by one, then stacked)",
    "batch": "256 random rows as columns, rows/s (others: their fastest columnar read)",
    "scan": "all rows in order, one by one, rows/s",
    "scan_batches": "all rows in order, in batches of 1,024, rows/s",
    "epoch": "shuffled epoch, all with DataLoader, 2 workers, rows/s",
    "loader": "shuffled epoch, Loader, rows/s (others: DataLoader, 2 workers, best settings)",
    "loader_no_workers": "shuffled epoch, Loader, rows/s (others: DataLoader without workers, best settings)",
    "loader_bare": "shuffled epoch, Loader, rows/s (compared with a bare loop)",
    "write": "write, fsync included, MB/s",
    "size": "size on disk, bytes",
}
LIMITS = {  # reference points, not formats: numpy.take on a memmap, ds.batch without a Loader
    "memmap": "a NumPy memmap",
    "atlas-bare": "a bare loop of `ds.batch`",
}

README_WORKLOAD = "jpeg"
README_PEERS = ("mosaicml-streaming", "litdata")  # shown whether or not they are the best
README_ROWS = (  # question, its words, what a figure is divided by
    ("get", "read single random rows, `ds[i]` (rows/s)", 1),
    ("batch", "read batches of 256 random rows (rows/s)", 1),
    ("loader", "read a shuffled training epoch (rows/s)", 1),
    ("write", "write, fsync included (MB/s)", 1),
    ("size", "size on disk (MB)", 1e6),
)
NAMES = {  # of peers, as the README calls them; others are called what the results call them
    "array-record": "ArrayRecord",
    "array-record-16": "ArrayRecord",
    "bagz-raw": "bagz",
    "datasets": "Hugging Face",
    "h5py": "HDF5",
    "lance": "Lance",
    "litdata": "LitData",
    "lmdb": "LMDB",
    "mosaicml-streaming": "MosaicML Streaming",
    "parquet": "Parquet",
    "vortex": "Vortex",
    "vortex-compact": "Vortex",
}
ONLY_HERE = ("pickled-blocks", "pickled-blocks-16", "pickled-blocks-dict")  # a layout of this benchmark, not a format


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


def best_peer(result: dict[str, Any], ours: str, without: Sequence[str] = ()) -> str | None:
    """The peer that is hardest to beat."""
    others = [peer for peer in result["rounds"] if not peer.startswith("atlas")]
    peers = [peer for peer in others if peer not in LIMITS and peer not in without]
    return min(peers, key=lambda peer: ratio(result, ours, peer), default=None)


def cell(result: dict[str, Any] | None, ours: str) -> str:
    """Atlas's figure, and the ratio to the best peer; below 1 the peer is better."""
    if result is None or ours not in result["rounds"]:
        return ""
    text = human(result["median"][ours])
    best = best_peer(result, ours)
    if best:
        text += f" · **{ratio(result, ours, best):.2g}x** {best}"
    limits = [f"{ratio(result, ours, limit):.2g}x {words}" for limit, words in LIMITS.items() if limit in result["rounds"]]
    return ", ".join([text, *limits])


def short_row(result: dict[str, Any], scale: float) -> list[str]:
    """Atlas's figure, the best peer's with its name, and those of README_PEERS; the better of the first two is bold."""
    medians = result["median"]

    def figure(peer: str) -> str:
        return human(medians[peer] / scale) if peer in medians else ""

    best = best_peer(result, "atlas", ONLY_HERE)
    if best is None:
        return [figure("atlas"), "", *map(figure, README_PEERS)]
    ahead = medians["atlas"] >= medians[best] if result["higher_is_better"] else medians["atlas"] <= medians[best]
    mine, theirs = figure("atlas"), f"{figure(best)}, {NAMES.get(best, best)}"
    return [f"**{mine}**" if ahead else mine, theirs if ahead else f"**{theirs}**", *map(figure, README_PEERS)]


def answers(body: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(result["question"], result["workload"]): result for result in body["results"]}


def short_table(body: dict[str, Any]) -> str:
    """The README's: five questions, one workload."""
    found = answers(body)
    head = ["", "Atlas", "best other format", *(NAMES[peer] for peer in README_PEERS)]
    lines = [f"| {' | '.join(head)} |".replace("|  |", "| |"), "|---|" + "---|" * (len(head) - 1)]
    for question, words, scale in README_ROWS:
        lines.append(f"| {words} | {' | '.join(short_row(found[question, README_WORKLOAD], scale))} |")
    return "\n".join(lines)


def table(body: dict[str, Any]) -> str:
    """All questions that were asked, all workloads."""
    found = answers(body)
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


def machine_of(body: dict[str, Any]) -> str:
    return f"{body['machine'].get('cpu') or 'one machine'}, {body['machine'].get('cores') or '?'} cores"


def readme(body: dict[str, Any], name: str) -> str:
    return (
        f"JPEG files, not decoded, read from the page cache on {machine_of(body)}\n"
        f"([all figures](benchmarks/results/{name})):\n\n{short_table(body)}"
    )


def complete(body: dict[str, Any], name: str) -> str:
    return (
        f"Machine: {machine_of(body)}.\n"
        f"All figures, with the versions of the packages: [{name}](../benchmarks/results/{name}).\n\n"
        f"{table(body)}\n\n![ds[i] and batches, all formats](benchmarks.png)"
    )


PAGES = {ROOT / "README.md": readme, ROOT / "docs" / "benchmarks.md": complete}
"""What is between the marks of each page, made of the body and the name of a results file."""


def between_marks(page: str) -> str:
    return page.partition(START)[2].partition(END)[0].strip("\n")


def write(page: Path, body: dict[str, Any], name: str) -> None:
    before, _, rest = page.read_text().partition(START)
    page.write_text(f"{before}{START}\n{PAGES[page](body, name)}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    if sys.argv[1] == "--readme":
        results = Path(sys.argv[2])
        write(ROOT / "README.md", json.loads(results.read_text()), results.name)
        return
    target, *sources = map(Path, sys.argv[1:])
    body = join(target, sources)
    write(ROOT / "docs" / "benchmarks.md", body, target.name)
    plot(body, ROOT / "docs" / "benchmarks.png")


if __name__ == "__main__":
    main()
