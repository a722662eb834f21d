"""`atlas-ds bench --loader`: times a shuffled epoch of the Loader, and a plain loop of `ds.batch`. It prints nothing."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from atlas_ds.cli.measure import BATCH, SEED, Answer, Contender, Question, Reader, ask_stream, measure
from atlas_ds.dataset.dataset import AtlasDataset
from atlas_ds.loader.loader import BatchFormat, Loader
from atlas_ds.loader.stats import Stats

BARE = "plain ds.batch"
MAX_STEPS = 4096


@dataclass(frozen=True, slots=True)
class LoaderAnswer:
    """`of_bare`: the Loader's speed divided by the plain loop's. `stats` are of the last epoch that was measured."""

    answers: list[Answer]
    format: str
    of_bare: float
    stats: Stats
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        facts = asdict(self.stats) | {"bottleneck": self.stats.bottleneck}
        return {"format": self.format, "of_bare": self.of_bare, "stats": facts, "words": str(self.stats)}

    def __str__(self) -> str:
        speed = f"{self.of_bare:.2f}x as fast as a plain loop of ds.batch"
        first = f"The Loader (format={self.format!r}) is {speed}. Its last epoch:"
        return "\n  ".join([first, *str(self.stats).splitlines()])


def measure_loader(dataset: AtlasDataset, seconds: float, rounds: int, tick: Callable[[], object]) -> LoaderAnswer:
    """Measures the Loader with its defaults, in batches of at most BATCH rows. `tick` is called twice per round."""
    size = min(BATCH, len(dataset))
    loader, format, notes = make_loader(dataset, size)

    def epochs() -> Iterator[object]:
        while True:
            yield from loader

    def bare() -> Reader:
        plan = loader.sampler.plan()
        indices = [plan.rows(step)[0] for step in range(min(plan.steps, MAX_STEPS))]
        return Reader(dataset.__getitem__, dataset.batch, lambda: map(dataset.batch, itertools.cycle(indices)))

    question: Question = (f"Loader's epoch, by {size}", size, ask_stream)
    contenders = [Contender("atlas", lambda: Reader(dataset.__getitem__, dataset.batch, epochs, loader.close)), Contender(BARE, bare)]
    answers = measure(contenders, len(dataset), seconds, rounds, tick, (question,))
    return LoaderAnswer(answers, format, answers[1].ratio, loader.stats(), notes)


def make_loader(dataset: AtlasDataset, size: int) -> tuple[Loader, str, list[str]]:
    """A Loader of tensors, or of arrays if tensors do not work here; its format, and notes to print."""
    notes: list[str] = []
    format: BatchFormat = "torch"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loader = Loader(dataset, batch_size=size, seed=SEED)
            next(iter(loader))
        except (ImportError, TypeError) as error:
            format = "numpy"
            notes.append(f"Loader: measured with format='numpy', because 'torch' does not work here: {error}")
            loader = Loader(dataset, batch_size=size, seed=SEED, format=format)
    return loader, format, notes + list(dict.fromkeys(f"Loader: {warning.message}" for warning in caught))
