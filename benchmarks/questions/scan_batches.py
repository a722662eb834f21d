"""How many rows a second come from reading the dataset in order in batches of 1,024 rows."""

from __future__ import annotations

import time

from benchmarks.measure import Measure, rate
from benchmarks.questions import Subject

UNIT = "rows/s"
HIGHER_IS_BETTER = True
ROWS = 1024


def prepare(subject: Subject) -> Measure:
    """Time a whole pass."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    count = len(reader)
    for _ in reader.scan_batches(ROWS):
        pass

    def measure(number: int) -> float:
        started = time.perf_counter()
        for _ in reader.scan_batches(ROWS):
            pass
        return rate(started, count)

    return measure
