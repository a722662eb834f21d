"""How many examples a second come from ds[i], in random order, materialised, on one thread."""

from __future__ import annotations

import time
from itertools import cycle

import numpy as np

from benchmarks.measure import Measure, rate, repetitions
from benchmarks.questions import Subject

UNIT = "examples/s"
HIGHER_IS_BETTER = True
WARM = True


def prepare(subject: Subject) -> Measure:
    """Time calls of get at random places."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    return timed(reader.get, len(reader), subject.seconds)


def timed(get, length: int, seconds: float) -> Measure:
    """Measure `get(index)` over the same random indices for every peer."""
    warm = cycle(np.random.default_rng(99).integers(0, length, 100_000).tolist())
    count = repetitions(lambda: get(next(warm)), seconds=seconds)

    def measure(number: int) -> float:
        order = np.random.default_rng(number).integers(0, length, count).tolist()
        started = time.perf_counter()
        for index in order:
            get(index)
        return rate(started, count)

    return measure
