"""How many megabytes of values a second are written, up to and with fsync."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.measure import Measure, rate
from benchmarks.peers import sync
from benchmarks.questions import Subject

UNIT = "MB/s"
HIGHER_IS_BETTER = True


def remove(path: Path) -> None:
    """Delete a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def prepare(subject: Subject) -> Measure:
    """Write a scratch copy from examples already in memory."""
    target = subject.scratch / subject.path.name
    subject.scratch.mkdir(parents=True, exist_ok=True)

    def measure(number: int) -> float:
        remove(target)
        started = time.perf_counter()
        subject.peer.write(target, subject.workload, subject.workload.schema)
        sync(target)
        speed = rate(started, subject.workload.raw_bytes / 1e6)
        remove(target)
        return speed

    return measure
