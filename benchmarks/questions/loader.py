"""How many examples a second a shuffled epoch gives as tensors, in batches of 256 columns: Atlas by its Loader, a peer by torch's
DataLoader with two workers and whichever of several settings is the quickest for it, its own shuffled loader among them if it has one.

Every epoch has a new order. Starting the workers is not timed, beginning an epoch is. A round is at least --seconds: small datasets
give several epochs, whole ones; a peer's epoch ends early where it would take more than LONGEST seconds.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.check import columns_match
from benchmarks.measure import Measure, rate
from benchmarks.peers import TorchRows
from benchmarks.questions import Subject

UNIT = "examples/s"
HIGHER_IS_BETTER = True
WARM = True
BATCH = 256
WORKERS = 2
PROBE_BATCHES = 40
LONGEST = 3.0

Epoch = Callable[[int], Iterator[Any]]
"""A number -> the batches of an epoch in an order of that number."""


class Order:
    """The rows of the first `batches` batches of a permutation; a batch sampler, the same for every peer."""

    def __init__(self, length: int) -> None:
        self.length, self.batches, self.seed = length, length // BATCH, 0

    def __len__(self) -> int:
        return self.batches

    def rows(self) -> np.ndarray:
        return np.random.default_rng(self.seed).permutation(self.length)[: self.batches * BATCH].reshape(-1, BATCH)

    def __iter__(self) -> Iterator[list[int]]:
        return map(np.ndarray.tolist, self.rows())


class Columns(TorchRows):
    """Gives torch's fetcher the columns of a batch, as the peer reads them."""

    def __getitems__(self, indices: list[int]) -> dict[str, Any]:
        return self.reader.batch(np.array(indices))


def as_they_are(columns: Any) -> Any:
    """Arrays as tensors, strided ones too, the rest as it is."""
    if isinstance(columns, dict):
        return {name: as_they_are(column) for name, column in columns.items()}
    return tensor(columns) if isinstance(columns, np.ndarray) else columns


def contiguous(columns: Any) -> Any:
    """The same, each tensor with memory of its own: a view of rows takes the other columns along to another process."""
    if isinstance(columns, dict):
        return {name: contiguous(column) for name, column in columns.items()}
    return tensor(np.ascontiguousarray(columns)) if isinstance(columns, np.ndarray) else columns


def stock(examples: list[Any]) -> Any:
    """torch's own way of putting examples together."""
    from torch.utils.data import default_collate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "not writable": nobody writes
        return default_collate(examples)


def tensor(array: np.ndarray) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(array)


def variants(subject: Subject, workers: int) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, dataset and settings of the DataLoaders that are sensible."""
    peer, schema = subject.peer, subject.workload.schema
    ready = Columns(peer.name, subject.path, schema)
    ways = {"columns": (ready, as_they_are), "contiguous columns": (ready, contiguous)}
    if workers == 0:
        for name, (dataset, collate) in ways.items():
            yield name, dataset, {"collate_fn": collate}
        return
    ways["rows, stock collate"] = (peer.torch_dataset(subject.path, schema), stock)
    for name, (dataset, collate) in ways.items():
        for ahead in (2, 8):
            settings = {"collate_fn": collate, "num_workers": workers, "prefetch_factor": ahead}
            yield f"{name}, prefetch {ahead}", dataset, settings | {"persistent_workers": True, "multiprocessing_context": peer.start_method}


def data_loader(subject: Subject, workers: int) -> tuple[Any, Order, float]:
    """The quickest DataLoader, its sampler, and examples/s in the trial."""
    from torch.utils.data import DataLoader

    found: list[tuple[float, str, Any, Order]] = []
    for name, dataset, settings in variants(subject, workers):
        order = Order(len(dataset))
        order.batches = min(order.batches, PROBE_BATCHES)
        loader = DataLoader(dataset, batch_sampler=order, **settings)
        try:
            check(next(iter(loader)), order.rows()[0], subject)  # the first epoch: starts the workers
            order.seed = 1
            started = time.perf_counter()
            drain(iter(loader))
            found.append((rate(started, order.batches * BATCH), name, loader, order))
        except (TypeError, RuntimeError) as error:  # such as uint16 in the stock collate
            print(f"  {subject.peer.name}, {name}: left out: {error}", file=sys.stderr)
        found = sorted(found, key=lambda one: one[0])[-1:]  # the workers of the others end
    if not found:
        raise RuntimeError("no setting of the DataLoader works")
    speed, name, loader, order = found[0]
    print(f"  {subject.peer.name}, {workers} workers: {name}", file=sys.stderr)
    return loader, order, speed


def drain(batches: Iterator[Any]) -> int:
    """Rows taken; the batch is held, as by a training loop, until the next one is here."""
    count = 0
    for batch in batches:  # noqa: B007
        count += BATCH
    return count


def check(batch: Any, rows: np.ndarray, subject: Subject) -> None:
    """ValueError unless the batch holds these rows of the workload."""
    examples = [subject.workload.examples[row] for row in rows.tolist()]
    if not columns_match(arrays(batch), examples, subject.workload.schema):
        raise ValueError("a batch does not hold the rows it was asked for")


def arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: arrays(item) for name, item in value.items()}
    return value.numpy() if hasattr(value, "numpy") else value


def timed(epoch: Epoch, seconds: float) -> Measure:
    """Times as many epochs as take that long, each in another order."""
    drain(epoch(0))
    started = time.perf_counter()
    drain(epoch(1))
    epochs = max(1, round(seconds / (time.perf_counter() - started) + 0.5))

    def measure(number: int) -> float:
        started = time.perf_counter()
        count = sum(drain(epoch(2 + number * epochs + k)) for k in range(epochs))
        return rate(started, count)

    return measure


def atlas_epochs(subject: Subject) -> tuple[Any, Epoch]:
    """The Loader with its defaults, checked, and its epochs."""
    import atlas_ds

    loader = atlas_ds.Loader(atlas_ds.AtlasDataset(subject.path), batch_size=BATCH, shuffle=True, seed=1)
    rows, _ = loader.sampler.plan().rows(0)
    check(next(iter(loader)), rows, subject)

    def epoch(number: int) -> Iterator[Any]:
        loader.set_epoch(number)
        return iter(loader)

    return loader, epoch


def peer_epochs(subject: Subject, workers: int) -> tuple[Epoch, float]:
    """Epochs of the quickest DataLoader in an order of ours, and examples/s in its trial."""
    loader, order, speed = data_loader(subject, workers)
    order.batches = min(order.length, max(PROBE_BATCHES * BATCH, int(speed * LONGEST))) // BATCH

    def epoch(number: int) -> Iterator[Any]:
        order.seed = number
        return iter(loader)

    return epoch, speed


def own_epochs(subject: Subject, workers: int) -> tuple[Epoch, float] | None:
    """Epochs of the peer's own shuffled loader, of LONGEST seconds at most, and examples/s in a trial."""
    loader = subject.peer.own_loader(subject.path, subject.workload.schema, BATCH, workers)
    if loader is None:
        return None
    seen = drain(iter(loader))  # starts the workers
    if seen < (len(subject.workload) // BATCH - workers) * BATCH:
        raise ValueError(f"an epoch has {seen} of {len(subject.workload)} rows")
    started = time.perf_counter()
    drain(iter(loader))
    return lambda number: iter(loader), rate(started, seen)


def quickest(subject: Subject, workers: int) -> Epoch:
    own = own_epochs(subject, workers)
    if own is None:
        return peer_epochs(subject, workers)[0]
    epoch, speed = peer_epochs(subject, workers)
    print(f"  {subject.peer.name}: {own[1]:,.0f} examples/s by its own loader, {speed:,.0f} by DataLoader", file=sys.stderr)
    return own[0] if own[1] > speed else epoch


def ask(subject: Subject, workers: int) -> Measure:
    if len(subject.workload) < BATCH:
        raise ValueError(f"{len(subject.workload)} examples are no batch of {BATCH}")
    own = subject.peer.package == "atlas_ds"
    return timed(atlas_epochs(subject)[1] if own else quickest(subject, workers), subject.seconds)


def prepare(subject: Subject) -> Measure:
    """Two workers for each peer; Atlas has no workers but threads."""
    return ask(subject, WORKERS)
