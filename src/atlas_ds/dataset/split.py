"""Computes the rows of each part of a split: by fractions, counts or names, in order or at random, optionally with equal shares of each class."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from atlas_ds.dataset.views import split_rows
from atlas_ds.schema.ragged import Ragged

Parts = float | Sequence[float] | Mapping[Any, float]
Positions = range | np.ndarray
TOO_MANY = 100  # classes, if half of the rows have one of their own: then they are not classes


SPELLED = {
    "train_size": "the first number: ds.split(0.8) returns [80 %, the rest]",
    "test_size": "the share of the first part: ds.split(0.8, seed=0) returns [80 %, the rest]",
    "fractions": "the numbers come first: ds.split([0.8, 0.2])",
    "lengths": "the numbers come first: ds.split([0.8, 0.2])",
    "sizes": "the numbers come first: ds.split([0.8, 0.2])",
    "shuffle": "seed=0 splits at random; without a seed the rows are split in order",
    "random": "seed=0 splits at random; without a seed the rows are split in order",
    "random_state": "seed=, an integer",
    "generator": "seed=, an integer",
    "rng": "seed=, an integer",
    "stratify_by_column": "stratify=, the name of a column or a label for each row",
    "stratify_by": "stratify=, the name of a column or a label for each row",
}
"""Arguments of other libraries' splits -> what to use here."""


def misspelled(parts: Any, more: Sequence[Any], others: Mapping[str, Any]) -> TypeError:
    """Returns the error of a split that was called like that of another library."""
    name = next((name for name in others if name in SPELLED), None)
    if name is not None:
        return TypeError(f"split has no {name}=; use {SPELLED[name]}")
    if more:
        return TypeError(f"split{(parts, *more)!r:.200}: give one list: ds.split({[parts, *more]!r:.200})")
    if others and parts is ... and all(isinstance(part, float | int) for part in others.values()):
        return TypeError(f"split: give named parts as a dict: ds.split({dict(others)!r:.200})")
    if others:
        return TypeError(f"split has no argument {next(iter(others))!r}; its arguments are the parts, seed= and stratify=")
    return TypeError('split(): give the sizes of the parts: ds.split(0.8), ds.split([0.8, 0.1, 0.1]) or ds.split({"train": 0.8, "test": 0.2})')


def parts_of(dataset: Any, wanted: Parts, seed: int | None, stratify: Any) -> list[Positions]:
    """The positions of each part."""
    count = len(dataset)
    numbers = numbers_of(wanted, count)
    if seed is not None:
        seed = checked_seed(seed)
    if stratify is None:
        return split_rows(range(count), numbers, seed)
    split_rows(range(count), numbers, None)  # for its checks
    codes, classes = classes_of(labels_of(dataset, stratify), stratify)
    counts = all(isinstance(number, int) for number in numbers) and sum(numbers) == count
    fractions = np.array(numbers, np.float64) / (max(1, count) if counts else 1.0)
    return stratified(codes, classes, fractions, seed)


def names_of(wanted: Parts) -> list[Any] | None:
    """The names of the parts, if they have some."""
    return list(wanted) if isinstance(wanted, Mapping) else None


def numbers_of(wanted: Parts, count: int) -> list[float]:
    """Returns a number for each part. A single number is the first of two parts."""
    if isinstance(wanted, str):
        raise TypeError(f"split({wanted!r}): give fractions, such as 0.8; a split that the writer named is opened: AtlasDataset(path, split={wanted!r})")
    if isinstance(wanted, Mapping):
        return [number_of(part, f" for {name!r}") for name, part in wanted.items()]
    if hasattr(wanted, "__iter__"):
        return [number_of(part, "") for part in wanted]
    first = number_of(wanted, "")
    if isinstance(first, int) and not 0 <= first <= count:
        raise ValueError(f"split({first}): an integer is the number of rows in the first part, 0 to {count}; for a share of all rows give a fraction: 0.8")
    if isinstance(first, float) and not 0 < first < 1:
        raise ValueError(f"split({first}): a fraction must be between 0 and 1; it is the share of the first part, and the second has the rest")
    return [first, count - first if isinstance(first, int) else 1 - first]


def number_of(part: Any, of: str) -> float:
    if not isinstance(part, bool | np.bool_ | str | bytes):
        if hasattr(part, "__index__"):
            return operator.index(part)
        if hasattr(part, "__float__"):
            return float(part)
    raise TypeError(f"split: {part!r}{of} is not a number: give fractions that sum to 1, such as [0.8, 0.2], or counts of rows")


def checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise TypeError(f"seed={seed!r}: give an integer; None splits in order")
    if operator.index(seed) < 0:
        raise ValueError(f"seed={seed!r}: give an integer of 0 or more")
    return operator.index(seed)


# --- classes ---


def labels_of(dataset: Any, stratify: Any) -> Any:
    """Returns one label for each row: a column by its name, or the argument itself."""
    if isinstance(stratify, str):
        if not hasattr(dataset, "column"):
            raise TypeError(f"stratify={stratify!r}: a {type(dataset).__name__} has no columns to read: give a sequence with a label for each row")
        if dataset.schema.container == "value":
            return dataset.column(stratify)
        dataset.schema[stratify]  # KeyError with the existing names
        columns = dataset._columns(slice(None), [stratify])
        return columns[stratify] if isinstance(columns, dict) else columns[0]
    if isinstance(stratify, Sequence | np.ndarray) or hasattr(stratify, "__array__"):
        if len(stratify) != len(dataset):
            raise ValueError(f"stratify: {len(stratify):,} labels for {len(dataset):,} rows: give the name of a column, or a label for each row")
        return stratify if isinstance(stratify, np.ndarray) or not hasattr(stratify, "__array__") else np.asarray(stratify)
    raise TypeError(f"stratify={stratify!r}: give the name of a column, or a sequence with a label for each row")


def classes_of(labels: Any, what: Any) -> tuple[np.ndarray, int]:
    """Returns (a number from 0 on for each label, how many there are). The numbers have the order of the labels, if these have one."""
    named = f"column {what!r}" if isinstance(what, str) else "stratify="
    if isinstance(labels, Ragged | Mapping) or (isinstance(labels, np.ndarray) and labels.ndim != 1):
        raise TypeError(f"{named} does not have one value per row to use as its class; give a column of numbers or text")
    codes, classes = numbered(labels, named)
    if classes > max(TOO_MANY, len(codes) // 2):
        raise ValueError(f"{named} has {classes:,} different values in {len(codes):,} rows: these are not classes that can be kept in proportion")
    return codes, classes


def numbered(labels: Any, named: str = "column") -> tuple[np.ndarray, int]:
    """As classes_of, whatever the number of classes."""
    if isinstance(labels, np.ndarray) and labels.dtype != object:
        mask = np.ma.getmaskarray(labels) if isinstance(labels, np.ma.MaskedArray) else None
        values, codes = np.unique(np.ma.getdata(labels), return_inverse=True)
        if mask is not None and mask.any():
            codes = np.where(mask, len(values), codes)
            values, codes = np.unique(codes, return_inverse=True)
        return codes.astype(np.int64), len(values)
    try:
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    except TypeError:
        raise TypeError(f"{named} has values that cannot be compared; give a column of numbers or text") from None
    if all(isinstance(label, str) for label in numbers):
        numbers = {label: number for number, label in enumerate(sorted(numbers))}
    return np.array([numbers[label] for label in labels], np.int64), len(numbers)


def stratified(codes: np.ndarray, classes: int, fractions: np.ndarray, seed: int | None) -> list[Positions]:
    """Positions of each part, ascending. In each class the first rows go to the first part; with a seed, rows at random do."""
    counts = apportioned(np.bincount(codes, minlength=classes), fractions)
    rows = np.arange(len(codes)) if seed is None else np.random.Generator(np.random.PCG64(seed)).permutation(len(codes))
    by_class = rows[np.argsort(codes[rows], kind="stable")]
    part = np.repeat(np.tile(np.arange(len(fractions)), classes), counts.ravel())
    return [np.sort(by_class[part == number]) for number in range(len(fractions))]


def apportioned(sizes: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Rows of each class in each part, (classes, parts): each the exact share rounded down or up, and every part as large as its share of all rows.

    Rows left over by rounding down go to the part that is furthest behind; the last differences are moved along chains of classes.
    """
    exact = np.round(sizes[:, None] * fractions, 9)
    counts: np.ndarray = np.floor(exact).astype(np.int64)
    least, rest = counts.copy(), exact - counts
    behind = np.zeros(len(fractions))
    for k in range(len(sizes)):
        left = int(sizes[k] - counts[k].sum())
        behind += rest[k]
        if left:
            able = np.where(rest[k] > 0, behind, -np.inf)
            chosen = np.argsort(-able, kind="stable")[:left]
            counts[k, chosen] += 1
            behind[chosen] -= 1
    evened(counts, least, rest > 0, largest_remainder(int(sizes.sum()), fractions))
    return counts


def largest_remainder(count: int, fractions: np.ndarray) -> np.ndarray:
    exact = np.round(count * fractions, 9)
    out: np.ndarray = np.floor(exact).astype(np.int64)
    out[np.argsort(out - exact, kind="stable")[: count - int(out.sum())]] += 1
    return out


def evened(counts: np.ndarray, least: np.ndarray, able: np.ndarray, totals: np.ndarray) -> None:
    """Moves single rows between parts, each class within its rounding, until the parts have these totals."""
    while True:
        more = counts.sum(0) - totals
        if not more.any():
            return
        up, down = counts > least, (counts == least) & able
        edges = (up.T.astype(np.int64) @ down.astype(np.int64)) > 0  # from a part that some class can leave to one that it can enter
        path = chain_of(edges, int(np.argmax(more)), more < 0)
        if path is None:
            return
        for a, b in pairwise(path):
            k = int(np.argmax(up[:, a] & down[:, b]))
            counts[k, a] -= 1
            counts[k, b] += 1
            up, down = counts > least, (counts == least) & able


def chain_of(edges: np.ndarray, start: int, ends: np.ndarray) -> list[int] | None:
    """The shortest path from a part to one of some others."""
    before: dict[int, int] = {start: start}
    found = [start]
    for part in found:
        if ends[part]:
            path = [part]
            while path[-1] != start:
                path.append(before[path[-1]])
            return path[::-1]
        for other in np.flatnonzero(edges[part]).tolist():
            if other not in before:
                before[other] = part
                found.append(other)
    return None
