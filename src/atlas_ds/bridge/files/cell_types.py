"""Infers the type of a CSV column: numbers, true/false or text. A column has a type only if every
cell can be written back unchanged.

Integers: decimal, no sign except a minus, no leading zeros, within 64 bits. Decimals: finite, with
all their digits in a float64, and in one spelling: either all with the same number of decimals
(1.50, 2.00), or all without needless zeros (0.5, 12, 1e-05). So 007, +5, 12e45, 1e400, -0, a
version 1.10 next to 1.9, and a number of twenty digits stay text: as numbers they would be written
differently, or become equal to others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

Parse = Callable[[str], object]
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
_SHORT_INTS = re.compile(r"(?:0|-?[1-9][0-9]{0,17})(?:\0(?:0|-?[1-9][0-9]{0,17}))*")  # none of these exceeds 64 bits
_EXACT_INTS = re.compile(r"(?:0|-?[1-9][0-9]{0,14})(?:\0(?:0|-?[1-9][0-9]{0,14}))*")  # and these are exact as floats, too
_FLOAT = re.compile(r"-?((?:0|[1-9][0-9]*)?)(?:(\.)([0-9]*))?(?:([eE])([+-]?)([0-9]+))?")
_COMMA = re.compile(r"-?[0-9]+,[0-9]+")  # as numbers are written in much of Europe
_NUMBER_LIKE = re.compile(r"\s*[+-]?(?:0[xXoObB][0-9a-fA-F]+|(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")  # as people read them
_WORDS = {"nan": 1, "NaN": 2, "inf": 0, "-inf": 0}  # as Python, NumPy, Java and JavaScript write them
_BOOLS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))
MISSING_WORDS = frozenset(("NA", "N/A", "n/a", "NULL", "null", "None", "none", "-"))
FIRST, SECOND, THIRD = 1, 2, 4
PARSE: dict[str, Parse] = {"bool": lambda cell: cell[0] in "tT", "int": int, "long": int, "float": float, "str": str, "null": lambda cell: None}
TYPES = {"int": "int64", "long": "int64", "float": "float64", "null": "str"}


def is_integer(cell: str) -> bool:
    """Whether a text is an integer that can be written back unchanged."""
    return _INT.fullmatch(cell) is not None and (len(cell) < 19 or -(1 << 63) <= int(cell) < 1 << 63)


def looks_like_number(cell: str) -> bool:
    """Whether a person reads a text as a number, however it is written: 007, 0x1F, 1_000, ` 5`,
    1e400."""
    return _NUMBER_LIKE.fullmatch(cell) is not None


class Column:
    """What is known about a column so far. kind: "null" (no value yet), "bool", "int" (also
    exact as a float), "long", "float" or "str"."""

    __slots__ = ("_bools", "_decimals", "_spellings", "_zeros", "empty", "kind", "missing", "reason")

    def __init__(self) -> None:
        self.kind = "null"
        self.empty = False
        self.reason: str | None = None  # why a column that looked like numbers is text
        self.missing: dict[str, tuple[int, str]] = {}  # words such as NA: how many, and the first place
        self._bools: tuple[str, str] | None = None
        self._spellings = [0] * 3  # integers, fractions, nan: which spellings were seen
        self._zeros = False  # whether a cell ends in needless zeros
        self._decimals: set[int] = set()

    def add(self, cells: Sequence[str], lines: Sequence[int], where: str = "") -> None:
        """Adds cells, each with its line, and the name of their file."""
        if "" in cells:
            self.empty = True
        if self.kind == "str":
            return
        if self.empty:
            lines = [line for cell, line in zip(cells, lines, strict=True) if cell]
            cells = [cell for cell in cells if cell]
        if cells and not self._is_plain(cells):
            for cell, line in zip(cells, lines, strict=True):
                self._add_one(cell, line, where)

    def _is_plain(self, cells: Sequence[str]) -> bool:
        """Whether all are numbers of the usual form, checked without a loop over the cells."""
        if self.kind == "float" and len(self._decimals) > 1:
            return self._are_shortest(cells)
        pattern = {"int": _EXACT_INTS, "long": _SHORT_INTS}.get(self.kind)
        if self.kind == "float" and len(self._decimals) == 1 and self._spellings[0] in (0, FIRST):
            pattern = _fixed(next(iter(self._decimals)))
        if pattern is None:
            return False
        text = "\0".join(cells)
        if text.count("\0") != len(cells) - 1 or not pattern.fullmatch(text):
            return False
        if self.kind == "float":
            self._note_text(f"\0{text}\0")
            self._zeros = self._zeros or (1 not in self._decimals and "0\0" in text + "\0")
        return True

    def _are_shortest(self, cells: Sequence[str]) -> bool:
        """Whether repr() of each of these floats is the cell itself."""
        if self._zeros or any(seen not in (0, FIRST) for seen in self._spellings):
            return False
        try:
            if list(map(repr, map(float, cells))) != list(cells):
                return False
        except ValueError:
            return False
        self._note_text("\0" + "\0".join(cells) + "\0")
        return True

    def _note_text(self, text: str) -> None:
        """Records the spellings of floats as Python writes them, separated by zero bytes."""
        marks = (".0\0" in text, "\x000." in text or "-0." in text, "nan" in text)
        self._spellings = [seen | found for seen, found in zip(self._spellings, marks, strict=True)]

    def _add_one(self, cell: str, line: int, where: str) -> None:
        if self.kind == "str" or self._holds(self.kind, cell):
            return
        if cell in MISSING_WORDS:
            count, first = self.missing.get(cell, (0, f"{where}, line {line}"))
            self.missing[cell] = (count + 1, first)
            return
        wider = {"null": ("bool", "int", "long", "float"), "int": ("long", "float")}.get(self.kind, ())
        before, self.kind = self.kind, next((kind for kind in wider if self._holds(kind, cell)), "str")
        if self.kind == "float" and before == "int":
            self._spellings[0] |= SECOND
            self._decimals.add(0)
        if self.kind == "str" and (before != "null" or _COMMA.fullmatch(cell) or looks_like_number(cell)):
            self.reason = f"{cell[:40]!r} ({where}, line {line}), {self._rule(before, cell)}"

    def _rule(self, before: str, cell: str) -> str:
        """Why a cell makes its column text."""
        if before == "bool":
            return "while the cells before are " + " or ".join(self._bools or ())
        if _COMMA.fullmatch(cell):
            return "which would not be written back unchanged as a number; write decimals with a point to have numbers"
        return "which would not be written back unchanged as a number" if looks_like_number(cell) else "which is not a number"

    def _holds(self, kind: str, cell: str) -> bool:
        if kind == "null":
            return False
        if kind == "bool":
            return self._holds_bool(cell)
        return self._holds_float(cell) if kind == "float" else is_integer(cell) and (kind == "long" or len(cell) < 16)

    def _holds_bool(self, cell: str) -> bool:
        if self._bools is None:
            self._bools = next((words for words in _BOOLS if cell in words), None)
        return self._bools is not None and cell in self._bools

    def _holds_float(self, cell: str) -> bool:
        """Also records the spelling. True if a float64 keeps all digits of the cell; `finish`
        checks whether the spellings agree."""
        if cell in _WORDS:
            self._spellings[2] |= _WORDS[cell]
            return True
        found = _FLOAT.fullmatch(cell)
        if found is None:
            return False
        whole, point, decimals, mark, sign, _ = found.groups()
        digits = (whole + (decimals or "")).lstrip("0")
        if not (whole or decimals) or (mark and not (point or sign)) or (cell[0] == "-" and not digits and not point):
            return False  # "1e5" and "12e45" may be names, "-0" is not an integer
        if not _is_exact(cell, digits) or (len(digits) > 15 and not point and not mark):
            return False
        self._note_spelling(whole, point, decimals or "", mark)
        return True

    def _note_spelling(self, whole: str, point: str | None, decimals: str, mark: str | None) -> None:
        if not mark and not decimals.strip("0"):
            self._spellings[0] |= FIRST if decimals == "0" else SECOND if not point else THIRD if not decimals else 0
        if whole in ("", "0") and decimals.strip("0"):
            self._spellings[1] |= FIRST if whole else SECOND
        self._zeros = self._zeros or (len(decimals) > 1 and decimals[-1] == "0")
        if len(self._decimals) < 2:
            self._decimals.add(len(decimals))

    def finish(self) -> None:
        """After the last cell: the column is text if the spellings would be lost, or if there
        are words among the numbers."""
        one_spelling = all(seen in (0, FIRST, SECOND, THIRD) for seen in self._spellings)
        if self.kind == "float" and not (one_spelling and (len(self._decimals) < 2 or not self._zeros)):
            self.kind, self.reason = "str", "numbers of different spelling, such as 1.10 next to 1.9, 1 next to 1.0, or nan next to NaN"
        if self.missing:
            self.kind = "str"


@cache
def _fixed(decimals: int) -> re.Pattern[str]:
    """A pattern of numbers, separated by zero bytes, that all have this many decimals, and not
    too many digits to be exact."""
    one = rf"-?(?:0|[1-9][0-9]{{0,{max(0, 14 - decimals)}}})\.[0-9]{{{decimals}}}"
    return re.compile(rf"{one}(?:\0{one})*" if 0 < decimals < 14 else r"(?!)")


def _is_exact(cell: str, digits: str) -> bool:
    """Whether a float64 keeps all digits of the cell."""
    value = float(cell)
    if value in (float("inf"), float("-inf")) or (digits.strip("0") and not value):
        return False
    if len(digits) < 16 and (not value or 1e-290 < abs(value) < 1e290):
        return True
    exponent = f"{value:.{max(len(digits), 1) - 1}e}"
    return exponent.partition("e")[0].lstrip("-").replace(".", "") == digits and _place(cell) == int(exponent.partition("e")[2])


def _place(cell: str) -> int:
    """The power of ten of the first digit that is not 0."""
    mantissa, _, exponent = cell.lower().lstrip("-").partition("e")
    whole, _, decimals = mantissa.partition(".")
    whole = whole.lstrip("0")
    first = len(whole) - 1 if whole else -(len(decimals) - len(decimals.lstrip("0")) + 1)
    return first + int(exponent or 0)
