"""Interleaved timing: every peer once per round, medians and per-round ratios at the end."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Measure = Callable[[int], float]


@dataclass
class Outcome:
    """The answers of all peers to one question on one workload."""

    question: str
    workload: str
    unit: str
    higher_is_better: bool
    rounds: dict[str, list[float]]
    count: int
    raw_bytes: int
    errors: dict[str, str] = field(default_factory=dict)

    def median(self, peer: str) -> float:
        """Median over the rounds."""
        return statistics.median(self.rounds[peer])

    def ratio(self, reference: str, peer: str) -> float:
        """Median of the per-round ratios; above 1 means that the reference is better."""
        pairs = zip(self.rounds[reference], self.rounds[peer])
        if self.higher_is_better:
            return statistics.median(a / b for a, b in pairs)
        return statistics.median(b / a for a, b in pairs)

    def as_dict(self, reference: str | None) -> dict[str, Any]:
        """For the JSON file."""
        out = {**self.__dict__, "median": {peer: self.median(peer) for peer in self.rounds}}
        if reference in self.rounds:
            out["reference"] = reference
            out["ratio"] = {peer: self.ratio(reference, peer) for peer in self.rounds}
        return out


def interleave(
    cases: dict[str, Measure], *, repeat: int, warm: bool = False
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Run A B C A B C ...; return the figures and the errors of failed peers.

    `warm` adds a first round that is not kept, so that all pages are mapped.
    """
    rounds: dict[str, list[float]] = {name: [] for name in cases}
    errors: dict[str, str] = {}
    names = list(cases)
    for number in range(repeat + warm):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            if name in errors:
                continue
            gc.collect()
            try:
                figure = cases[name](number)
                if number >= warm:
                    rounds[name].append(figure)
            except Exception as error:  # noqa: BLE001 - one peer must not stop the others
                errors[name] = f"{type(error).__name__}: {error}"
                print(f"  {name} failed: {errors[name]}", file=sys.stderr)
    return {name: got for name, got in rounds.items() if name not in errors}, errors


def repetitions(once: Callable[[], object], *, seconds: float, most: int = 2_000_000) -> int:
    """How many calls of `once` take about `seconds`."""
    once()
    calls, spent = 0, 0.0
    started = time.perf_counter()
    while spent < min(0.1, seconds / 4):
        once()
        calls += 1
        spent = time.perf_counter() - started
    return max(1, min(most, int(calls * seconds / spent)))


def rate(started: float, units: float) -> float:
    """Units per second since `started` (time.perf_counter())."""
    return units / (time.perf_counter() - started)
