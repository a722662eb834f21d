"""Writes results: a JSON file, Markdown tables and one plot."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.measure import Outcome

PACKAGES = (
    "atlas_ds",
    "array_record",
    "bagz",
    "datasets",
    "h5py",
    "lmdb",
    "numpy",
    "pyarrow",
    "pylance",
    "torch",
    "vortex-data",
    "zstandard",
)


def _first_line(path: str, start: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(start)), "")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _first_line("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory": _first_line("/proc/meminfo", "MemTotal"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages under test that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def reference_of(outcome: Outcome, wanted: str) -> str | None:
    """The peer that ratios are against: the wanted one, else the first with figures."""
    return wanted if wanted in outcome.rounds else next(iter(outcome.rounds), None)


def write_json(
    path: Path, outcomes: list[Outcome], *, reference: str, options: dict[str, Any]
) -> None:
    """All rounds, medians and ratios."""
    data = {
        "machine": machine(),
        "versions": versions(),
        "options": options,
        "results": [o.as_dict(reference_of(o, reference)) for o in outcomes],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def human(value: float) -> str:
    """1234567 as 1.23 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def table(outcome: Outcome, *, reference: str) -> str:
    """One Markdown table, best peer first; the ratio is that of the reference to the peer."""
    base = reference_of(outcome, reference)
    order = sorted(outcome.rounds, key=outcome.median, reverse=outcome.higher_is_better)
    title = f"**{outcome.workload}: {outcome.question}** ({outcome.count} examples)"
    lines = [title, "", f"| peer | {outcome.unit} | {base} is better by |", "|---|---:|---:|"]
    for peer in order:
        ratio = outcome.ratio(base, peer) if base else float("nan")
        lines.append(f"| {peer} | {human(outcome.median(peer))} | {ratio:.2f} |")
    lines += [f"| {peer} | failed | |" for peer in outcome.errors]
    return "\n".join(lines) + "\n"


def tables(outcomes: list[Outcome], *, reference: str) -> str:
    """A table per workload and question, then one per question."""
    asked = dict.fromkeys(outcome.question for outcome in outcomes)
    parts = [table(outcome, reference=reference) for outcome in outcomes]
    return "\n".join(parts + [matrix(outcomes, question) for question in asked])


def matrix(outcomes: list[Outcome], question: str) -> str:
    """Medians of one question: a row per peer, a column per workload."""
    chosen = [outcome for outcome in outcomes if outcome.question == question]
    names = list(dict.fromkeys(peer for outcome in chosen for peer in outcome.rounds))
    unit = chosen[0].unit if chosen else ""
    head = f"| {question} ({unit}) | " + " | ".join(o.workload for o in chosen) + " |"
    lines = [head, "|---|" + "---:|" * len(chosen)]
    for name in names:
        cells = [human(o.median(name)) if name in o.rounds else "" for o in chosen]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(source: Path, target: Path, *, question: str = "get") -> None:
    """Bars of the medians of one question, one panel per workload, from a results file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = json.loads(source.read_text())["results"]
    chosen = [r for r in results if r["question"] == question]
    figure, axes = pyplot.subplots(
        1, len(chosen), figsize=(3.6 * len(chosen), 4), squeeze=False, layout="constrained"
    )
    for axis, result in zip(axes[0], chosen):
        ranked = sorted(result["median"].items(), key=lambda item: item[1])
        colours = ["C1" if name.startswith("atlas") else "C0" for name, _ in ranked]
        axis.barh([name for name, _ in ranked], [value for _, value in ranked], color=colours)
        axis.set(xscale="log", title=result["workload"], xlabel=result["unit"])
    figure.suptitle(question)
    figure.savefig(target)
    pyplot.close(figure)
