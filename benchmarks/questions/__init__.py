"""The questions: one module each, with UNIT, HIGHER_IS_BETTER and prepare(subject), which gives a Measure, or several by name.

Optional: WORKLOADS and PEERS (names of those that are asked), ONCE (one round), WARM (a first round is not kept).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from benchmarks.peers import BasePeer
from benchmarks.workloads import Workload

NAMES = (
    "get",
    "get_view",
    "batch",
    "batch_stack",
    "size",
    "scan",
    "scan_batches",
    "write",
    "epoch",
    "epoch_batches",
    "loader",
    "loader_no_workers",
    "loader_bare",
    "open",
)
WITHOUT_READING = frozenset({"size", "write"})


@dataclass
class Subject:
    """One peer with its written copy of one workload."""

    peer: BasePeer
    workload: Workload
    path: Path
    scratch: Path
    seconds: float


def load(name: str) -> ModuleType:
    """The module of the question `name`."""
    return importlib.import_module(f"benchmarks.questions.{name}")
