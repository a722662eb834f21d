"""How many examples a second come from iterating over the dataset in order."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice

from benchmarks.measure import Measure, rate
from benchmarks.questions import Subject

UNIT = "examples/s"
HIGHER_IS_BETTER = True
MOST = 100_000


def prepare(subject: Subject) -> Measure:
    """Time the first MOST examples of a fresh iteration."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    count = min(MOST, len(reader))
    deque(islice(reader.scan(), count), maxlen=0)

    def measure(number: int) -> float:
        started = time.perf_counter()
        deque(islice(reader.scan(), count), maxlen=0)
        return rate(started, count)

    return measure
