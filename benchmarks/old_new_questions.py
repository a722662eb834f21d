"""The questions of old_new.py: what is timed. They use only what both versions of Atlas understand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

KINDS = ("wall", "caller", "process")  # seconds: on the clock, of the calling thread's CPU, of all threads' CPU
READ_ROWS, SHARDS, BATCH = 60_000, 20, 256
IMPORT = (
    "import numpy, time; w, c, p = time.perf_counter(), time.thread_time(), time.process_time(); import atlas_ds; "
    "atlas_ds.AtlasDataset, atlas_ds.AtlasDatasetWriter, atlas_ds.Loader; print(time.perf_counter() - w, time.thread_time() - c, time.process_time() - p)"
)


class Clock:
    """Adds up the seconds of KINDS spent inside `with clock.on():`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(KINDS, 0.0)

    @contextmanager
    def on(self) -> Iterator[None]:
        before = (time.perf_counter(), time.thread_time(), time.process_time())
        yield
        self.add((time.perf_counter() - before[0], time.thread_time() - before[1], time.process_time() - before[2]))

    def add(self, figures: Iterable[float]) -> None:
        for kind, figure in zip(KINDS, figures):
            self.seconds[kind] += figure


Once = Callable[[Clock], None]
Question = Callable[[Path], Once]


def scalars(count: int) -> list[dict[str, Any]]:
    return [{"id": i, "score": i / 7, "name": f"example number {i}"} for i in range(count)]


def images(count: int) -> list[dict[str, Any]]:
    pixels = np.random.default_rng(0).integers(0, 40, (count, 28, 28), np.uint8)
    return [{"image": pixels[i], "label": i % 10, "name": f"example number {i}"} for i in range(count)]


def jpegs(count: int) -> list[dict[str, Any]]:
    noise = np.random.default_rng(0).bytes(1 << 20)
    return [{"image": b"\xff\xd8\xff\xe0" + noise[(start := i * 997 % 900_000) : start + 8188], "label": i % 10} for i in range(count)]


EXAMPLES = {"scalars": (scalars, 20_000), "images": (images, 8_000), "jpegs": (jpegs, 1_500)}


def writing(kind: str, how: str, *, schema: bool = False, count: int | None = None) -> Question:
    """Times the adding of rows that are in memory, up to `close` or, as `how` says, only `close` or both."""
    make, usual = EXAMPLES[kind]

    def question(data: Path) -> Once:
        import atlas_ds

        rows = make(count or usual)
        columns = {name: [row[name] for row in rows] for name in rows[0]} if how == "add_batch" else {}
        columns = {name: column if isinstance(column[0], str) else np.stack(column) for name, column in columns.items()}
        options = {"schema": atlas_ds.AtlasDataset(data / kind).schema} if schema else {}

        def add(writer: Any) -> None:
            if how == "extend":
                writer.extend(rows)
            elif how == "add_batch":
                for start in range(0, len(rows), BATCH):
                    writer.add_batch({name: column[start : start + BATCH] for name, column in columns.items()})
            else:
                for row in rows:
                    writer.add_example(row)

        def once(clock: Clock) -> None:
            path = data / f"written-{os.getpid()}"
            with clock.on() if how == "small" else skipped():
                writer = atlas_ds.AtlasDatasetWriter(path, workers=1, **options)
            with clock.on() if how != "close" else skipped():
                add(writer)
            with clock.on() if how in ("small", "close") else skipped():
                writer.close()
            shutil.rmtree(path)

        return once

    return question


@contextmanager
def skipped() -> Iterator[None]:
    """Stands where a clock is not on."""
    yield


def reading(read: Callable[[Any, np.ndarray], None], count: int, **options: Any) -> Question:
    """Times `read(dataset, indices)` with `count` random indices, after a pass that is not timed."""

    def question(data: Path) -> Once:
        import atlas_ds

        dataset = atlas_ds.AtlasDataset(data / "images", **options)
        indices = np.random.default_rng(1).integers(0, len(dataset), count)
        read(dataset, indices)

        def once(clock: Clock) -> None:
            with clock.on():
                read(dataset, indices)

        return once

    return question


def get(dataset: Any, indices: np.ndarray) -> None:
    for index in indices.tolist():
        dataset[index]


def batch(dataset: Any, indices: np.ndarray) -> None:
    for start in range(0, len(indices), BATCH):
        dataset.batch(indices[start : start + BATCH])


def iterate(dataset: Any, indices: np.ndarray) -> None:
    left = len(indices)
    while left > 0:
        for _ in dataset:
            left -= 1
            if not left:
                return


def opened(dataset: Any, indices: np.ndarray) -> None:
    for _ in indices[::BATCH]:
        type(dataset)(dataset.path)[0]


def loader_epoch(data: Path) -> Once:
    import atlas_ds

    loader = atlas_ds.Loader(atlas_ds.AtlasDataset(data / "images"), batch_size=BATCH, shuffle=True, seed=1, format="numpy")
    for _ in loader:
        pass

    def once(clock: Clock) -> None:
        with clock.on():
            for _ in loader:
                pass

    return once


def importing(data: Path) -> Once:
    def once(clock: Clock) -> None:
        done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
        clock.add(map(float, done.stdout.split()))

    return once


QUESTIONS: dict[str, Question] = {
    "add_example, int float str": writing("scalars", "add_example"),
    "add_example, int float str, schema=": writing("scalars", "add_example", schema=True),
    "add_example, 28x28 array int str": writing("images", "add_example"),
    "add_example, 28x28 array int str, schema=": writing("images", "add_example", schema=True),
    "add_example, 8 KB bytes int": writing("jpegs", "add_example"),
    "add_example, 8 KB bytes int, schema=": writing("jpegs", "add_example", schema=True),
    "extend, int float str": writing("scalars", "extend"),
    "add_batch, 256 rows of 28x28": writing("images", "add_batch"),
    "1,000 rows, created to closed": writing("scalars", "small", count=1000),
    "close, with fsync": writing("images", "close"),
    "get, ds[i]": reading(get, 30_000),
    "get, ds[i], io=pread": reading(get, 3_000, io="pread"),
    "batch of 256": reading(batch, 100 * BATCH),
    "batch of 256, io=pread": reading(batch, 20 * BATCH, io="pread"),
    "iteration": reading(iterate, 30_000),
    "Loader, an epoch": loader_epoch,
    "open, and read a row": reading(opened, 30 * BATCH),
    "import atlas_ds": importing,
}


def prepare(data: Path) -> None:
    """The datasets that are read, and those whose schemas are used."""
    import atlas_ds

    for kind, (make, _) in EXAMPLES.items():
        count = READ_ROWS if kind == "images" else 1000
        with atlas_ds.AtlasDatasetWriter(data / kind, shard_size=count // SHARDS) as writer:
            writer.extend(make(count))
