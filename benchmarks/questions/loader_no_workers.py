"""As loader, but the peers' DataLoader reads in the training process: for cheap rows that is quicker than workers."""

from __future__ import annotations

from benchmarks.measure import Measure
from benchmarks.questions import Subject
from benchmarks.questions.loader import ask

UNIT = "examples/s"
HIGHER_IS_BETTER = True
WARM = True


def prepare(subject: Subject) -> Measure:
    return ask(subject, 0)
