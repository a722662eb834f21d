"""The intraclass correlation (ICC) of a column within chunks of CHUNK_ROWS consecutive rows of a shard: how alike neighbouring rows are.

Every shard stores its sums (FORMAT.md, section 19). Those of several shards are added in icc_total.py, so that a dataset is measured without reading
its rows again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from atlas_ds import _core
from atlas_ds.errors import SchemaError
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import SCALARS, ClassLabel, Field, Scalar, Word, number_dtype

CHUNK_ROWS = 256
MAX_CLASSES = 1000  # different values up to which a column is one of classes
HASH_CLASSES = 1024  # buckets of texts with more different values
MAX_SUM = 1 << 53  # of an integer in the notes of a shard
MAX_REAL = 1e300
CLASS = re.compile(r"-?[0-9]{1,20}")
HUGE = 1e140  # numbers from here on are ignored: the sum of their squares would overflow


@dataclass(slots=True)
class Sums:
    """Of the values of a column, nulls left out. Each of the last three is None where it makes no sense for the type, or is too large.

    rows, chunks: values, and chunks that have some; squares: the squares of the chunks' rows, added up. numbers: mean of all, squares
    between chunks, squares within. classes: rows of each class, and agree: over all chunks, the squares of its classes' rows over its
    rows; a class is an int, or the hash of a text. hashed: the same by hash modulo HASH_CLASSES.
    """

    rows: int = 0
    chunks: int = 0
    squares: int = 0
    numbers: list[float] | None = None
    classes: dict[str, Any] | None = None
    hashed: dict[str, Any] | None = None

    def add(self, more: Sums) -> None:
        """Adds the sums of other chunks."""
        rows = self.rows + more.rows
        if self.numbers and more.numbers and more.rows:
            apart = more.numbers[0] - self.numbers[0]
            between = self.numbers[1] + more.numbers[1] + apart * apart * (self.rows / rows) * more.rows
            self.numbers = [self.numbers[0] + apart * (more.rows / rows), between, self.numbers[2] + more.numbers[2]]
        self.classes = both_classes(self.classes, more.classes, MAX_CLASSES)
        self.hashed = both_classes(self.hashed, more.hashed, HASH_CLASSES)
        self.rows, self.chunks, self.squares = rows, self.chunks + more.chunks, self.squares + more.squares


def both_classes(one: dict[str, Any] | None, more: dict[str, Any] | None, most: int) -> dict[str, Any] | None:
    """Adds the second's counts to the first; None where one has none, or both together have more than `most` classes."""
    if one is None or more is None:
        return None
    counts = one["counts"]
    for key, count in more["counts"].items():
        counts[key] = counts.get(key, 0) + count
    return {"agree": one["agree"] + more["agree"], "counts": counts} if len(counts) <= most else None


def count_classes(keys: np.ndarray) -> dict[str, Any]:
    found, counts = np.unique(keys, return_counts=True)
    return {"agree": int(counts @ counts) / max(len(keys), 1), "counts": {str(int(key)): int(count) for key, count in zip(found, counts, strict=True)}}


def sums_of(values: np.ndarray, field: Field) -> Sums:
    """The sums of one chunk. values: numbers, or the hashes of texts; nulls left out."""
    if is_text(field):
        return Sums(len(values), min(len(values), 1), len(values) ** 2, None, count_classes(values), count_classes(values % HASH_CLASSES))
    classes = None if values.dtype.kind == "f" else count_classes(values)
    numbers = None
    if values.dtype.kind != "b":
        real = values.astype(np.float64)
        values = real[np.abs(real) < HUGE]  # nor do NaN and infinities count
        mean = math.fsum(values) / max(len(values), 1)  # fsum: the same bits on every machine
        numbers = [mean, 0.0, math.fsum((values - mean) ** 2)]
    return Sums(len(values), min(len(values), 1), len(values) ** 2, numbers, classes)


def is_text(field: Field) -> bool:
    return field.type == Word("str")


def check_names(names: Sequence[str], schema: Schema) -> None:
    """SchemaError if a column does not exist."""
    for name in names:
        if name not in schema.names:
            raise SchemaError(f"icc: no column {name!r}; the columns are {', '.join(schema.names)}")


def check_columns(names: Sequence[str], schema: Schema) -> None:
    """SchemaError if a column does not exist, or is not a number, bool, class label or text."""
    check_names(names, schema)
    for name in names:
        field = schema[name]
        number = isinstance(field.type, ClassLabel) or (isinstance(field.type, Scalar) and not field.type.dtype.startswith("complex"))
        if not is_text(field) and not number:
            raise SchemaError(f"icc: column {name!r} is {field.type}: icc is for ints, floats, bools, class labels and str only")


class IccAccumulator:
    """Accumulates the sums of one column of a shard, chunk by chunk, as its rows arrive."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self._seen = 0  # rows of the shard that were added
        self._rest = np.empty(0)  # values of the chunk that is not full yet, and which of them are nulls
        self._rest_nulls = np.empty(0, np.bool_)
        self._sums = sums_of(np.empty(0, self._dtype), field)

    @property
    def _dtype(self) -> np.dtype[Any]:
        if is_text(self.field):
            return np.dtype(np.uint64)
        return SCALARS[number_dtype(self.field.type) or ""]

    def add_rows(self, column: _core.Column, first_row: int) -> None:
        """Adds the rows that wait in the column, the first of which is first_row of the shard; skips those added before."""
        data, lengths = column.sample(column.rows)
        skip = self._seen - first_row
        if is_text(self.field):
            ends = np.cumsum(lengths, dtype=np.int64)[skip:].tolist()
            texts = zip(ends, lengths[skip:].tolist(), strict=True)
            values = np.array([_core.hash64(data[end - length : end]) for end, length in texts], np.uint64)
        else:
            values = np.frombuffer(data, self._dtype)[skip:]
        self._seen = first_row + column.rows
        self._add(values, column.nulls()[skip:])

    def _add(self, values: np.ndarray, nulls: np.ndarray) -> None:
        if len(self._rest):
            values, nulls = np.concatenate([self._rest, values]), np.concatenate([self._rest_nulls, nulls])
        whole = len(values) - len(values) % CHUNK_ROWS
        for start in range(0, whole, CHUNK_ROWS):
            self._add_chunk(values[start : start + CHUNK_ROWS], nulls[start : start + CHUNK_ROWS])
        self._rest, self._rest_nulls = values[whole:], nulls[whole:]

    def _add_chunk(self, values: np.ndarray, nulls: np.ndarray) -> None:
        values = values[~nulls]
        if self.field.type == Scalar("bfloat16"):
            values = (values.astype(np.uint32) << 16).view(np.float32)
        self._sums.add(sums_of(values, self.field))

    def finish(self) -> dict[str, Any]:
        """Returns the sums, ready for JSON, after all rows were added."""
        if len(self._rest):
            self._add_chunk(self._rest, self._rest_nulls)
        return asdict(self._sums)


def checked_sums(data: Any) -> Sums | None:
    """Sums as IccAccumulator.finish gave them; None for anything else."""
    if not isinstance(data, dict) or data.keys() != {"rows", "chunks", "squares", "numbers", "classes", "hashed"}:
        return None
    whole = [data[name] for name in ("rows", "chunks", "squares")]
    if not all(type(number) is int and 0 <= number < MAX_SUM for number in whole) or not whole[1] <= whole[0] <= whole[2] <= CHUNK_ROWS * whole[0]:
        return None
    numbers = data["numbers"]
    if numbers is not None and not (isinstance(numbers, list) and len(numbers) == 3 and all(map(is_finite, numbers)) and abs(numbers[0]) < HUGE):
        return None
    if not is_classes(data["classes"], MAX_CLASSES) or not is_classes(data["hashed"], HASH_CLASSES):
        return None
    return Sums(**data)


def is_finite(number: Any) -> bool:
    return type(number) in (int, float) and abs(number) < MAX_REAL


def is_classes(data: Any, most: int) -> bool:
    if data is None:
        return True
    if not isinstance(data, dict) or data.keys() != {"agree", "counts"} or not is_finite(data["agree"]):
        return False
    return is_counts(data["counts"], most)


def is_counts(data: Any, most: int) -> bool:
    """Whether it is the rows of each class."""
    if not isinstance(data, dict) or len(data) > most:
        return False
    return all(CLASS.fullmatch(key) is not None and type(count) is int and 0 <= count < MAX_SUM for key, count in data.items())
