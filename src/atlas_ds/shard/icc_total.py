"""The sums for the ICC of a column over many shards. Each shard's own sums are in icc.py.

Sums of floats are exact here, so the order in which shards are added does not matter: appending, merging parts and writing at once give one result.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from atlas_ds.schema.types import Field, Scalar
from atlas_ds.shard.icc import CHUNK_ROWS, HASH_CLASSES, MAX_CLASSES, MAX_SUM, Sums, is_counts, is_text

MAX_TERMS = 64  # floats that one exact sum is stored as; more than the range of a float needs
MAX_TERM = 1e306
SMALLEST = Fraction(1, 1 << 1074)  # positive float
MEMBERS = {"rows", "chunks", "squares", "numbers", "classes", "hashed"}


@dataclass(slots=True)
class Classes:
    """agree: over all chunks, the squares of its classes' rows over its rows. counts: rows of each class."""

    agree: Fraction
    counts: dict[str, int]


@dataclass(slots=True)
class IccTotal:
    """As Sums, of many shards. numbers: sum of all values; squares between the chunks and zero; squares within chunks."""

    rows: int
    chunks: int
    squares: int
    numbers: tuple[Fraction, Fraction, Fraction] | None
    classes: Classes | None
    hashed: Classes | None

    def add(self, more: IccTotal) -> None:
        self.rows, self.chunks, self.squares = self.rows + more.rows, self.chunks + more.chunks, self.squares + more.squares
        if self.numbers is None or more.numbers is None:
            self.numbers = None
        else:
            values, between, within = (one + other for one, other in zip(self.numbers, more.numbers, strict=True))
            self.numbers = values, between, within
        self.classes = both_classes(self.classes, more.classes, MAX_CLASSES)
        self.hashed = both_classes(self.hashed, more.hashed, HASH_CLASSES)

    def fits(self, field: Field) -> bool:
        """Whether these can be the sums of a column."""
        if is_text(field):
            return self.hashed is not None
        return (self.classes if field.type == Scalar("bool") else self.numbers) is not None

    def icc(self) -> float:
        """ICC(1) of a one-way analysis of variance (Shrout and Fleiss, 1979), k0 for chunks of unequal size (Donner, 1986), in [0, 1].

        A column of classes is one column for each class, 1 where it is that class, whose squares are added. 0 without two chunks,
        or where nothing varies: then no order is better than another one.
        """
        if self.chunks < 2 or self.rows == self.chunks:
            return 0.0
        classes = self.classes or self.hashed
        if classes:
            between = classes.agree - Fraction(sum(count * count for count in classes.counts.values()), self.rows)
            within = self.rows - classes.agree
        elif self.numbers:
            values, from_zero, within = self.numbers
            between = from_zero - values * values / self.rows
        else:
            return 0.0  # the sums of the shards are of different kinds
        mean_between, mean_within = between / (self.chunks - 1), within / (self.rows - self.chunks)
        k0 = (self.rows - Fraction(self.squares, self.rows)) / (self.chunks - 1)
        complete = mean_between + (k0 - 1) * mean_within
        return float(min(max((mean_between - mean_within) / complete, Fraction(0)), Fraction(1))) if complete > 0 else 0.0

    def to_json(self) -> dict[str, Any] | None:
        """None if a sum is too large for a manifest."""
        numbers = self.numbers and [terms(number) for number in self.numbers]
        classes, hashed = classes_json(self.classes), classes_json(self.hashed)
        body = {"rows": self.rows, "chunks": self.chunks, "squares": self.squares, "numbers": numbers, "classes": classes, "hashed": hashed}
        return body if total_from_json(body) is not None else None


def total_of(sums: Sums) -> IccTotal:
    """The sums of one shard, to be added to."""
    numbers = None
    if sums.numbers:
        mean, between, within = map(Fraction, sums.numbers)
        numbers = mean * sums.rows, between + as_floats_can(mean * mean * sums.rows), within
    return IccTotal(sums.rows, sums.chunks, sums.squares, numbers, exact_classes(sums.classes), exact_classes(sums.hashed))


def exact_classes(data: dict[str, Any] | None) -> Classes | None:
    return None if data is None else Classes(Fraction(data["agree"]), dict(data["counts"]))


def as_floats_can(number: Fraction) -> Fraction:
    """Rounds to a multiple of SMALLEST, as every float is one: so that a list of floats can hold the sum exactly."""
    return round(number / SMALLEST) * SMALLEST


def both_classes(one: Classes | None, more: Classes | None, most: int) -> Classes | None:
    """Adds the second to the first; None where one is missing, or both together have more than `most` classes."""
    if one is None or more is None:
        return None
    for key, count in more.counts.items():
        one.counts[key] = one.counts.get(key, 0) + count
    return Classes(one.agree + more.agree, one.counts) if len(one.counts) <= most else None


def terms(number: Fraction) -> list[float]:
    """An exact number as floats that add up to it: each is what the ones before leave, rounded to the nearest float."""
    found: list[float] = []
    while number and len(found) <= MAX_TERMS and abs(number) < MAX_TERM:
        found.append(float(number))
        number -= Fraction(found[-1])
    return found if abs(number) < MAX_TERM else [MAX_TERM]


def classes_json(classes: Classes | None) -> dict[str, Any] | None:
    return None if classes is None else {"agree": terms(classes.agree), "counts": classes.counts}


# --- reading what a manifest has ---


def total_from_json(data: Any) -> IccTotal | None:
    """The sums of a column in a manifest; None if no writer made them."""
    if not isinstance(data, dict) or data.keys() != MEMBERS:
        return None
    rows, chunks, squares = data["rows"], data["chunks"], data["squares"]
    if not all(type(number) is int and 0 <= number < MAX_SUM for number in (rows, chunks, squares)):
        return None
    if not chunks <= rows <= squares <= CHUNK_ROWS * rows:
        return None
    numbers = data["numbers"]
    if numbers is not None:
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(map(is_terms, numbers)):
            return None
        values, between, within = map(sum_of, numbers)
        numbers = values, between, within
    if not is_classes(data["classes"], MAX_CLASSES) or not is_classes(data["hashed"], HASH_CLASSES):
        return None
    classes, hashed = (kind and Classes(sum_of(kind["agree"]), kind["counts"]) for kind in (data["classes"], data["hashed"]))
    return IccTotal(rows, chunks, squares, numbers, classes, hashed)


def is_terms(data: Any) -> bool:
    return isinstance(data, list) and len(data) <= MAX_TERMS and all(type(term) in (int, float) and abs(term) < MAX_TERM for term in data)


def sum_of(data: list[float]) -> Fraction:
    return sum((Fraction(float(term)) for term in data), Fraction(0))  # 2e17 is read as an integer, whose digits are not those of the float


def is_classes(data: Any, most: int) -> bool:
    if data is None:
        return True
    return isinstance(data, dict) and data.keys() == {"agree", "counts"} and is_terms(data["agree"]) and is_counts(data["counts"], most)
