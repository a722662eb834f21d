"""A permutation of [0, n) that is computed, not stored: any position, in any order, the same on every machine.

This is where an exact shuffle computes which row is at a position."""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from atlas_ds._core import order as _core
from atlas_ds.order import keys


class Permutation:
    """The permutation of [0, n), n < 2^63, with the key `words`: ints in [0, 2^64), the first of which is a role (see keys.py).

    Up to 65,536 numbers it is a Fisher-Yates shuffle (2 bytes per number), above that eight rounds of a Feistel network on a x b
    cells with cycle walking (100 bytes for any n; Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). Immutable and
    thread-safe.
    """

    __slots__ = ("_core", "length", "words")

    def __init__(self, length: SupportsIndex, *words: SupportsIndex) -> None:
        self.length = keys.count("length", length, 0)
        self.words = tuple(keys.word("word of a key", word) for word in words)
        self._core = _core.Permutation(self.length, *self.words)

    def __reduce__(self) -> tuple[type[Permutation], tuple[int, ...]]:
        return Permutation, (self.length, *self.words)

    def take(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """The images of start, start + 1, ...: int64 of shape (count,). IndexError past the end."""
        return self._core.take(start, count)

    def find(self, value: int) -> int:
        """The position of value: `take(find(value), 1)[0] == value`. O(n) for a shuffled table, otherwise O(1)."""
        return self._core.find(value)
