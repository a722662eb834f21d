"""How many examples a second come without a copy of their bytes (JPEG only)."""

from __future__ import annotations

from benchmarks.measure import Measure
from benchmarks.questions import Subject
from benchmarks.questions.get import timed

UNIT = "examples/s"
HIGHER_IS_BETTER = True
WARM = True
WORKLOADS = ("jpeg",)


def prepare(subject: Subject) -> Measure:
    """Time calls of view at random places."""
    reader = subject.peer.open(subject.path, subject.workload.schema)
    return timed(reader.view, len(reader), subject.seconds)
