"""Draws the results of `atlas-ds bench` as bars. The only file that imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atlas_ds.cli.measure import Answer
from atlas_ds.errors import AtlasError


def check_matplotlib() -> None:
    """Raises an error before the measurement, rather than after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise AtlasError("--plot needs matplotlib; install it: pip install 'atlas-ds[plot]'") from error


def plot(answers: Sequence[Answer], path: Path, title: str) -> None:
    """A panel per question, a bar per contender (mean, with a line up to p99), logarithmic. Less is better."""
    from matplotlib.figure import Figure

    questions = list(dict.fromkeys(answer.question for answer in answers))
    figure = Figure(figsize=(3.2 * len(questions), 3.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(questions), squeeze=False)[0]
    for panel, question in zip(panels, questions, strict=True):
        chosen = [answer for answer in answers if answer.question == question]
        names = [answer.contender for answer in chosen]
        middles = [answer.rows / answer.rows_per_second * 1e6 for answer in chosen]
        upper = [max(0.0, answer.p99 * 1e6 - middle) for answer, middle in zip(chosen, middles, strict=True)]
        colors = ["tab:blue"] + ["tab:gray"] * (len(chosen) - 1)
        panel.bar(names, middles, yerr=[[0.0] * len(upper), upper], color=colors, capsize=3)
        panel.set_yscale("log")
        panel.set_title(question, fontsize=10)
        panel.set_ylabel("microseconds, mean to p99" if panel is panels[0] else "")
        panel.tick_params(axis="x", rotation=45)
    figure.savefig(path, dpi=120)
