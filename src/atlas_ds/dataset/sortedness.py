"""Whether the rows of a dataset are sorted by class, so that parts cut in order would have different classes. A sample is looked at, never more."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas_ds.dataset.split import numbered
from atlas_ds.errors import AtlasError
from atlas_ds.schema.types import Scalar, Word

NAMES = ("label", "class", "target", "y", "cls")
"""Columns that are looked at where no ICC is recorded, whatever their case; cls is the label's name in tars of WebDataset."""
SAMPLE = 1000  # rows
FEW = 6  # rows, below which an order says nothing
BINS = 16
ALIKE = 0.1  # an ICC up to which rows are as good as shuffled
APART = 0.25  # of 1: how much of a part's classes would have to be others, for it to have the classes of all
SURE = 5.0  # standard deviations of what chance does


def sorted_column(dataset: Any, ends: np.ndarray) -> str | None:
    """The column by which the rows are sorted, so that parts that end at these rows have other classes each; None where none is, or where
    nobody can say without reading over a network."""
    if len(dataset) < FEW:
        return None
    recorded = recorded_icc(dataset)
    name = max(recorded, key=lambda column: recorded[column], default=None)
    if name is not None and recorded[name] <= ALIKE:
        name = None
    look_at = name or class_column(dataset)
    if look_at is None or not may_look(dataset) or look_at not in names_of(dataset):
        return name
    return look_at if (name or look_at not in recorded) and looks_sorted(dataset, look_at, ends) else None


def may_look(dataset: Any) -> bool:
    """Whether rows may be read for a warning: not if that would ask a server."""
    return not getattr(dataset, "_is_remote", False)


def recorded_icc(dataset: Any) -> dict[str, float]:
    """The ICC of columns, where it speaks of these rows: it was measured in the order that is stored."""
    return (getattr(dataset, "icc", None) or {}) if isinstance(getattr(dataset, "rows", None), range) else {}


def class_column(dataset: Any) -> str | None:
    """The column that is called as classes are; None if there is none, or its values are not numbers or text."""
    schema = getattr(dataset, "schema", None)
    if schema is None or schema.container not in ("dict", "dataclass"):
        return None
    by_name = {field.name.lower(): field for field in reversed(schema.fields)}
    field = next((by_name[name] for name in NAMES if name in by_name), None)
    return field.name if field is not None and (isinstance(field.type, Scalar) or field.type in (Word("str"), Word("bytes"))) else None


def names_of(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.schema.names) if getattr(dataset, "schema", None) is not None else ()


def looks_sorted(dataset: Any, name: str, ends: np.ndarray) -> bool:
    """Whether a column says so, in rows that are spread evenly over the dataset."""
    at = np.linspace(0, len(dataset) - 1, min(len(dataset), SAMPLE)).astype(np.int64)
    try:
        codes, classes = numbered(dataset._columns(at, [name])[name])
    except (AtlasError, OSError):  # damage is reported where the rows are read; here it only means that nobody can say
        return False
    if classes > len(codes) // 8:
        codes, classes = binned(codes, classes)
    return classes > 1 and (in_pieces(codes, classes) or differ(codes, np.searchsorted(ends, at, "right")))


def binned(codes: np.ndarray, classes: int) -> tuple[np.ndarray, int]:
    """Many classes as few: those whose values follow each other together."""
    return numbered(codes * min(BINS, max(1, len(codes) // 2)) // classes)


def in_pieces(codes: np.ndarray, classes: int) -> bool:
    """Whether the rows of each class lie together."""
    return classes <= len(codes) // 2 and int((codes[1:] != codes[:-1]).sum()) == classes - 1


def differ(codes: np.ndarray, part: np.ndarray) -> bool:
    """Whether a part has other classes than all rows have, and that is not chance (a chi-squared test)."""
    table = np.zeros((int(part.max()) + 1, int(codes.max()) + 1))
    np.add.at(table, (part, codes), 1)
    table = table[table.sum(1) > 0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / len(codes)
    apart = np.abs(table - expected).sum(1) / (2 * table.sum(1))
    freedom = table.shape[1] - 1
    surprise = ((table - expected) ** 2 / expected).sum(1)
    return bool(((apart > APART) & (surprise > freedom + SURE * (2 * freedom) ** 0.5)).any())
