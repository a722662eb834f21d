"""How many rows a second come in batches of 256 random rows, with fresh indices and outputs."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.measure import Measure, rate, repetitions
from benchmarks.questions import Subject

UNIT = "rows/s"
HIGHER_IS_BETTER = True
WARM = True
ROWS = 256


def prepare(subject: Subject) -> Measure:
    """Time calls of batch; making the indices is not timed."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    length = len(reader)
    chooser = np.random.default_rng(99)

    def once() -> None:
        reader.batch(chooser.integers(0, length, ROWS))

    count = repetitions(once, seconds=subject.seconds, most=20_000)

    def measure(number: int) -> float:
        wanted = list(np.random.default_rng(number).integers(0, length, (count, ROWS)))
        started = time.perf_counter()
        for indices in wanted:
            reader.batch(indices)
        return rate(started, count * ROWS)

    return measure
