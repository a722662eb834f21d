"""How many examples a second a shuffled epoch gives with ready batches, without workers."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.measure import Measure
from benchmarks.questions import Subject
from benchmarks.questions.epoch import BATCH, Shuffled, epoch_length, timed_epochs

UNIT = "examples/s"
HIGHER_IS_BETTER = True


class ReadyBatches:
    """Gives the columns of a list of indices as tensors."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, indices: list[int]) -> dict[str, Any]:
        return tensors(self.reader.batch(np.array(indices)))


def tensors(value: Any) -> Any:
    """NumPy arrays as tensors, the rest as it is."""
    import torch

    if isinstance(value, dict):
        return {key: tensors(item) for key, item in value.items()}
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def prepare(subject: Subject) -> Measure:
    """A DataLoader whose sampler gives whole batches."""
    from torch.utils.data import BatchSampler, DataLoader

    dataset = ReadyBatches(subject.peer.open(subject.path, subject.workload.schema))
    sampler = Shuffled(len(dataset), epoch_length(subject))
    loader = DataLoader(dataset, sampler=BatchSampler(sampler, BATCH, False), batch_size=None)
    return timed_epochs(loader, sampler)
