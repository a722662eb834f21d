"""As batch, but every peer's rows come one by one and are stacked into columns, as a collate function does; Atlas gives its own batch."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.measure import Measure, rate, repetitions
from benchmarks.questions import Subject
from benchmarks.questions.batch import ROWS

UNIT = "rows/s"
HIGHER_IS_BETTER = True
WARM = True


def stack(examples: list[Any]) -> Any:
    """Examples to columns: arrays and numbers stacked, the rest in lists."""
    first = examples[0]
    if isinstance(first, dict):
        return {name: stack([example[name] for example in examples]) for name in first}
    if isinstance(first, np.ndarray):
        return np.stack(examples)
    if isinstance(first, int | float):
        return np.array(examples)
    return examples


def prepare(subject: Subject) -> Measure:
    """Time calls; making the indices is not timed."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    length = len(reader)
    own = subject.peer.package == "atlas_ds"

    def read(indices: np.ndarray) -> Any:
        if own:
            return reader.batch(indices)
        return stack([reader.get(index) for index in indices.tolist()])

    count = repetitions(lambda: read(np.random.default_rng(99).integers(0, length, ROWS)), seconds=subject.seconds, most=20_000)

    def measure(number: int) -> float:
        wanted = list(np.random.default_rng(number).integers(0, length, (count, ROWS)))
        started = time.perf_counter()
        for indices in wanted:
            read(indices)
        return rate(started, count * ROWS)

    return measure
