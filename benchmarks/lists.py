"""Lists of numbers of many lengths, as a tokenizer gives them: how fast 256 random ones are read, and what they take.

    python -m benchmarks.lists [--rows 20000] [--rounds 7] [--json FILE]

A list column of Atlas against the same lists as objects (what Atlas 2.0 did before it had list columns) and against
Hugging Face datasets. A batch of Atlas's list column is one array of all numbers and one of where each list begins;
of objects and of datasets it is a list of lists. Formats take turns in each round; ratios are medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import atlas_ds
from benchmarks import report

VOCABULARY = 50_000
LENGTH = 500
BATCH = 256


def make_lists(rows: int) -> list[list[int]]:
    """Lists of 500 ids, those of frequent tokens more often: Zipf's law over ids in order of frequency."""
    generator = np.random.default_rng(5)
    cumulative = np.cumsum(1.0 / np.arange(1, VOCABULARY + 1))
    return [np.searchsorted(cumulative, generator.random(LENGTH) * cumulative[-1]).tolist() for _ in range(rows)]


def write_atlas(path: Path, lists: list[list[int]], **options: Any) -> None:
    with atlas_ds.AtlasDatasetWriter(path, **options) as writer:
        writer.extend({"tokens": tokens} for tokens in lists)


def write_datasets(path: Path, lists: list[list[int]]) -> None:
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset.from_dict({"tokens": lists}).save_to_disk(path)


def open_atlas(path: Path) -> Callable[[list[int]], Any]:
    return atlas_ds.AtlasDataset(path).batch


def open_datasets(path: Path, kind: str | None = None) -> Callable[[list[int]], Any]:
    import datasets

    return datasets.load_from_disk(str(path)).with_format(kind).__getitem__


def bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    lists = make_lists(args.rows)
    folder = Path(tempfile.mkdtemp())
    writers = {
        "list": lambda path: write_atlas(path, lists),
        "list, zstd": lambda path: write_atlas(path, lists, compression="zstd"),
        "object": lambda path: write_atlas(path, lists, schema={"tokens": "object"}),
        "datasets": lambda path: write_datasets(path, lists),
    }
    readers: dict[str, Callable[[list[int]], Any]] = {}
    sizes: dict[str, int] = {}
    for name, write in writers.items():
        write(folder / name)
        sizes[name] = bytes_of(folder / name)
        readers[name] = (open_datasets if name == "datasets" else open_atlas)(folder / name)
    readers["datasets, numpy"] = open_datasets(folder / "datasets", "numpy")
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(args.rounds):
        rows = [np.random.default_rng([number, k]).integers(0, args.rows, BATCH).tolist() for k in range(8)]
        for name, read in readers.items():
            first = read(rows[0])["tokens"]
            if [list(map(int, one)) for one in first] != [lists[i] for i in rows[0]]:
                raise SystemExit(f"{name}: values differ")
            started = time.perf_counter()
            for chosen in rows:
                read(chosen)
            rates[name].append(len(rows) * BATCH / (time.perf_counter() - started))
    facts = {
        name: {
            "lists/s": round(median(rates[name])),
            "list is faster by": round(median(a / b for a, b in zip(rates["list"], rates[name], strict=True)), 2),
            "bytes": sizes.get(name),
            "bytes / object's": round(sizes[name] / sizes["object"], 3) if name in sizes else None,
        }
        for name in readers
    }
    for name, fact in facts.items():
        print(name, fact)
    if args.json:
        args.json.write_text(json.dumps({"machine": report.machine(), "versions": report.versions(), "rows": args.rows, "results": facts}, indent=1) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
