"""Detects rows that are sorted by class, so that parts split in order would have different classes. It reads a sample, never more."""

from __future__ import annotations

from typing import Any

import numpy as np

from atlas_ds.dataset.split import numbered
from atlas_ds.errors import AtlasError
from atlas_ds.schema.types import ClassLabel, Scalar, Word

NAMES = ("label", "class", "target", "y", "cls")
"""Columns that are checked if no ICC is recorded, in any case; cls is the name of the label in tars of WebDataset."""
SAMPLE = 1000  # rows
FEW = 6  # rows, below which an order says nothing
BINS = 16
ALIKE = 0.1  # an ICC up to which rows count as shuffled
APART = 0.25  # share of a part's rows that would need another class for it to have the classes of all
SURE = 5.0  # standard deviations beyond chance


def sorted_column(dataset: Any, ends: np.ndarray) -> str | None:
    """The column by which the rows are sorted, so that parts that end at these rows have different classes; None if there is none, or if
    finding out needs the network."""
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
    """Whether rows may be read for a warning: not over a network."""
    return not getattr(dataset, "_is_remote", False)


def recorded_icc(dataset: Any) -> dict[str, float]:
    """The recorded ICC of columns, if it is valid for these rows: it was measured in the stored order."""
    return (getattr(dataset, "icc", None) or {}) if isinstance(getattr(dataset, "rows", None), range) else {}


def class_column(dataset: Any) -> str | None:
    """The column with a usual name of class labels; None if there is none, or its values are not numbers or text."""
    schema = getattr(dataset, "schema", None)
    if schema is None or schema.container not in ("dict", "dataclass"):
        return None
    by_name = {field.name.lower(): field for field in reversed(schema.fields)}
    field = next((by_name[name] for name in NAMES if name in by_name), None)
    return field.name if field is not None and (isinstance(field.type, Scalar | ClassLabel) or field.type in (Word("str"), Word("bytes"))) else None


def names_of(dataset: Any) -> tuple[str, ...]:
    return tuple(dataset.schema.names) if getattr(dataset, "schema", None) is not None else ()


def looks_sorted(dataset: Any, name: str, ends: np.ndarray) -> bool:
    """Whether a sample of rows, spread evenly, is sorted by this column."""
    at = np.linspace(0, len(dataset) - 1, min(len(dataset), SAMPLE)).astype(np.int64)
    try:
        codes, classes = numbered(dataset._columns(at, [name])[name])
    except (AtlasError, OSError):  # damage is reported when the rows are read; here it means that the answer is unknown
        return False
    if classes > len(codes) // 8:
        codes, classes = binned(codes, classes)
    return classes > 1 and (in_pieces(codes, classes) or differ(codes, np.searchsorted(ends, at, "right")))


def binned(codes: np.ndarray, classes: int) -> tuple[np.ndarray, int]:
    """Reduces many classes to few: neighbouring values become one class."""
    return numbered(codes * min(BINS, max(1, len(codes) // 2)) // classes)


def in_pieces(codes: np.ndarray, classes: int) -> bool:
    """Whether the rows of each class are contiguous."""
    return classes <= len(codes) // 2 and int((codes[1:] != codes[:-1]).sum()) == classes - 1


def differ(codes: np.ndarray, part: np.ndarray) -> bool:
    """Whether the classes of a part differ from those of all rows by more than chance (a chi-squared test)."""
    table = np.zeros((int(part.max()) + 1, int(codes.max()) + 1))
    np.add.at(table, (part, codes), 1)
    table = table[table.sum(1) > 0]
    expected = table.sum(1, keepdims=True) * table.sum(0) / len(codes)
    apart = np.abs(table - expected).sum(1) / (2 * table.sum(1))
    freedom = table.shape[1] - 1
    surprise = ((table - expected) ** 2 / expected).sum(1)
    return bool(((apart > APART) & (surprise > freedom + SURE * (2 * freedom) ** 0.5)).any())
