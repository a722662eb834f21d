"""The keys of random orders. A key is a hash of words, the first of which is a role (what the key is for), so that seed 1,
epoch 0 and seed 0, epoch 1 are unrelated. docs/order.md lists the words of each role."""

from __future__ import annotations

import operator
from typing import Final, SupportsIndex

CHUNKS: Final = 1
"""(substream, seed, epoch): the order in which chunks are dealt to lanes. Windows (2) and mixes (3) make their keys in the core."""
ROWS: Final = 4
"""(substream, seed, epoch): the exact order of all rows."""
PLACES: Final = 5
"""(seed, part): the rows of a dataset that is rewritten in shuffled order."""
TRANSFORM: Final = 6
"""(substream, seed, epoch, row): the random numbers of a transform."""


def word(name: str, value: SupportsIndex) -> int:
    """A seed, substream or epoch as an int in [0, 2^64). Raises TypeError or ValueError that names it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {value!r}")
    number = operator.index(value)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{name} {number} is not in [0, 2^64)")
    return number


def count(name: str, value: SupportsIndex, least: int = 1, most: int = (1 << 63) - 1) -> int:
    """A size as an int in [least, most]. Raises TypeError or ValueError that names it."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, not {value!r}")
    number = operator.index(value)
    if not least <= number <= most:
        raise ValueError(f"{name} {number} is not in [{least}, {most}]")
    return number
