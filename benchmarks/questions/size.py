"""How many bytes the dataset takes on disk."""

from __future__ import annotations

from benchmarks.measure import Measure
from benchmarks.peers import size_bytes
from benchmarks.questions import Subject

UNIT = "bytes"
HIGHER_IS_BETTER = False
ONCE = True


def prepare(subject: Subject) -> Measure:
    """The same figure each time."""
    return lambda number: float(size_bytes(subject.path))
