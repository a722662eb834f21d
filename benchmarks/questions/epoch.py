"""How many examples a second a shuffled epoch gives with two DataLoader workers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.measure import Measure, rate
from benchmarks.questions import Subject

UNIT = "examples/s"
HIGHER_IS_BETTER = True
BATCH = 256
WORKERS = 2
MOST = 60_000
MOST_BYTES = 200_000_000


def epoch_length(subject: Subject) -> int:
    """Examples in one timed epoch: all, up to MOST or MOST_BYTES."""
    mean = max(1, subject.workload.raw_bytes // len(subject.workload))
    return min(len(subject.workload), MOST, max(1, MOST_BYTES // mean))


class Shuffled:
    """A sampler with the same order for every peer."""

    def __init__(self, length: int, count: int) -> None:
        self.length, self.count, self.seed = length, count, 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        order = np.random.default_rng(self.seed).permutation(self.length)
        return iter(order[: self.count].tolist())


def timed_epochs(loader: Any, sampler: Shuffled) -> Measure:
    """Times an epoch in a new order each time."""

    def measure(number: int) -> float:
        sampler.seed = number
        started = time.perf_counter()
        for _ in loader:
            pass
        return rate(started, len(sampler))

    return measure


def prepare(subject: Subject) -> Measure:
    """Persistent workers and the stock collate; starting the workers is not timed."""
    from torch.utils.data import DataLoader

    dataset = subject.peer.torch_dataset(subject.path, subject.workload.schema)
    sampler = Shuffled(len(dataset), epoch_length(subject))
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=sampler,
        num_workers=WORKERS,
        persistent_workers=True,
        multiprocessing_context=subject.peer.start_method,
    )
    for _ in loader:
        pass
    return timed_epochs(loader, sampler)
