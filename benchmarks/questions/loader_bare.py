"""What the Loader gets out of the dataset: its shuffled epoch beside a bare loop of `ds.batch(rows)` over the same rows, known before.

"atlas is better by" of the table is the Loader's speed as a part of the bare loop's. Rounds take turns, and each is at least --seconds.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import atlas_ds
from benchmarks.measure import Measure, rate
from benchmarks.questions import Subject
from benchmarks.questions.loader import BATCH, atlas_epochs, timed

UNIT = "examples/s"
HIGHER_IS_BETTER = True
WARM = True
PEERS = ("atlas",)


def bare(dataset: Any, indices: list[np.ndarray]) -> None:
    for rows in indices:
        batch = dataset.batch(rows)  # noqa: F841 - held until the next one is here, as by a training loop


def prepare(subject: Subject) -> dict[str, Measure]:
    loader, epoch = atlas_epochs(subject)
    dataset = atlas_ds.AtlasDataset(subject.path)

    def indices(number: int) -> list[np.ndarray]:
        loader.set_epoch(number)
        plan = loader.sampler.plan()
        return [plan.rows(step)[0] for step in range(plan.steps)]

    wanted = indices(0)
    bare(dataset, wanted)
    started = time.perf_counter()
    bare(dataset, wanted)
    epochs = max(1, round(subject.seconds / (time.perf_counter() - started) + 0.5))

    def measure(number: int) -> float:
        wanted = [rows for k in range(epochs) for rows in indices(2 + number * epochs + k)]
        started = time.perf_counter()
        bare(dataset, wanted)
        return rate(started, len(wanted) * BATCH)

    return {"atlas": timed(epoch, subject.seconds), "atlas-bare": measure}
