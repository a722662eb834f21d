"""How many times a second the dataset can be opened and its first example read."""

from __future__ import annotations

import time

from benchmarks.check import is_random
from benchmarks.measure import Measure, rate, repetitions
from benchmarks.questions import Subject

UNIT = "opens/s"
HIGHER_IS_BETTER = True


def prepare(subject: Subject) -> Measure:
    """Open, read one example, close (imports are already done)."""
    schema = subject.workload.schema
    random = is_random(subject.peer.skipped)

    def once() -> None:
        reader = subject.peer.open(subject.path, schema)
        if random:
            reader.get(0)
        else:
            next(iter(reader.scan()))
        reader.close()

    count = repetitions(once, seconds=subject.seconds, most=20_000)

    def measure(number: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            once()
        return rate(started, count)

    return measure
