"""Times the same questions on several contenders, in interleaved rounds. It prints nothing and does not know the peers.

Every round asks every question of every contender, starting with another contender each time, so that
a busy moment of the machine affects all of them. p50 and p99 are over all operations; rates and ratios are
medians over the rounds. If a contender prefetches, most steps take no time and a few take long, so for batches,
epochs and scans the ratio is one of mean times; for single rows it is one of medians.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

BATCH = 256
SEED = 0
MIN_OPERATIONS = 3


@dataclass(frozen=True, slots=True)
class Reader:
    """An open dataset of any format. `batch` and `scan` return what a training loop would use."""

    get: Callable[[int], object]
    batch: Callable[[Sequence[int]], object]
    scan: Callable[[], Iterator[object]]
    close: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    open: Callable[[], Reader]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One question to one contender. Seconds are per operation, of `rows` rows; `ratio` is its time over the first's."""

    question: str
    contender: str
    rows: int
    operations: int
    p50: float
    p99: float
    rows_per_second: float
    ratio: float


Question = tuple[str, int, Callable[[Contender, int, float, int], list[float]]]


def measure(
    contenders: Sequence[Contender], rows: int, seconds: float, rounds: int, tick: Callable[[], object], questions: Sequence[Question] | None = None
) -> list[Answer]:
    """Answers to the questions (all of QUESTIONS) over the first `rows` rows; `seconds` is the time of one question and contender."""
    questions = QUESTIONS if questions is None else questions
    times: dict[tuple[str, str], list[list[float]]] = {}
    for number in range(rounds):
        turn = number % len(contenders)
        for (name, _, ask), who in itertools.product(questions, [*contenders[turn:], *contenders[:turn]]):
            times.setdefault((name, who.name), []).append(ask(who, rows, seconds / rounds, SEED + number))
            tick()
    return [_answer(name, per, who.name, contenders[0].name, times) for name, per, _ in questions for who in contenders]


def _answer(name: str, per: int, who: str, first: str, times: dict[tuple[str, str], list[list[float]]]) -> Answer:
    rounds = times[name, who]
    every = sorted(itertools.chain.from_iterable(rounds))
    typical = statistics.median if per == 1 else statistics.fmean
    mine, firsts = [typical(one) for one in rounds], [typical(one) for one in times[name, first]]
    return Answer(
        question=name,
        contender=who,
        rows=per,
        operations=len(every),
        p50=statistics.median(every),
        p99=every[min(len(every) - 1, int(0.99 * len(every)))],
        rows_per_second=statistics.median(per * len(one) / max(sum(one), 1e-12) for one in rounds),
        ratio=statistics.median(own / max(base, 1e-12) for own, base in zip(mine, firsts, strict=True)),
    )


def _timed(operations: Iterator[Callable[[], object]], seconds: float) -> list[float]:
    """Seconds of each operation until the time is over; at least a few."""
    clock = time.perf_counter
    taken: list[float] = []
    end = clock() + seconds
    for operation in operations:
        start = clock()
        operation()
        stop = clock()
        taken.append(stop - start)
        if stop > end and len(taken) >= MIN_OPERATIONS:
            break
    return taken


def _ask_open(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    def operation() -> None:
        reader = who.open()
        reader.get(0)
        reader.close()

    return _timed(itertools.repeat(operation), seconds)


def _ask_get(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    pick = random.Random(seed)
    reader = who.open()
    indices = [pick.randrange(rows) for _ in range(10_000)]
    taken = _timed((lambda i=i: reader.get(i) for i in itertools.cycle(indices)), seconds)  # type: ignore[misc]
    reader.close()
    return taken


def _ask_batch(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    pick = random.Random(seed)
    draws = [[pick.randrange(rows) for _ in range(BATCH)] for _ in range(32)]
    return _ask_batches(who, itertools.cycle(draws), seconds)


def _ask_epoch(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    order += order[: -rows % BATCH] if rows >= BATCH else order * (BATCH // rows)  # full batches only
    parts = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]
    return _ask_batches(who, itertools.cycle(parts), seconds)


def _ask_batches(who: Contender, batches: Iterator[list[int]], seconds: float) -> list[float]:
    reader = who.open()
    taken = _timed((lambda part=part: reader.batch(part) for part in batches), seconds)  # type: ignore[misc]
    reader.close()
    return taken


def ask_stream(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    """Times each item that `scan` yields; the scan must not end."""
    reader = who.open()
    stream = reader.scan()
    held: list[object] = [None]

    def operation() -> None:
        held[0] = next(stream)  # until the next one has arrived, as in a training loop

    taken = _timed(itertools.repeat(operation), seconds)
    reader.close()
    return taken


def _ask_scan(who: Contender, rows: int, seconds: float, seed: int) -> list[float]:
    reader = who.open()

    def endless() -> Iterator[object]:
        while True:
            yield from itertools.islice(reader.scan(), rows)

    stream = endless()

    def operation() -> None:
        for _ in range(BATCH):
            next(stream)

    taken = _timed(itertools.repeat(operation), seconds)
    reader.close()
    return taken


QUESTIONS: tuple[Question, ...] = (
    ("open + first row", 1, _ask_open),
    ("ds[i], random", 1, _ask_get),
    (f"batch of {BATCH}, random", BATCH, _ask_batch),
    (f"shuffled epoch, by {BATCH}", BATCH, _ask_epoch),
    (f"scan, {BATCH} rows", BATCH, _ask_scan),
)
