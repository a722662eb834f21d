"""Plans how a shard is stored, from a sample of its rows: groups, rows per block, dictionaries; coding.py chooses the codecs.

A pure function of the sample and the options: same rows, same plan. It records its reasons as text, for `atlas-ds info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas_ds import _core
from atlas_ds._core import base
from atlas_ds._core.base import MAX_BLOCK_ROWS, MAX_DICTIONARIES, MAX_GROUPS
from atlas_ds.schema.types import MAX_PAGE, Leaf
from atlas_ds.shard.coding import Coding, Sample, ShardOptions, choose_coding

BULKY = 256  # mean bytes of a value from which a column has a group of its own, so that reading the small ones never touches it
LEAST_PAGE = 3 << 10  # mean bytes of a page that is compressed as a whole: with less, what each page and block has besides its values weighs
HOT_SPAN = 8 << 20  # most bytes of bulky rows next to a block of small columns: then a truncated file keeps complete rows
MAX_BLOCK_BYTES = base.MAX_BLOCK_BYTES // 2  # of a block's pages: half of the format's limit, since sizes are those of a sample


@dataclass(frozen=True, slots=True)
class LeafPlan:
    """How the pages of one leaf are written. dictionary: its number in the shard, 0 for none."""

    leaf: Leaf
    group: int
    coding: Coding
    dictionary: int


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """groups: leaf positions of each group; rows: rows per block of each group; dictionaries: their bytes, number 1 first."""

    groups: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...]
    pages: tuple[LeafPlan, ...]
    dictionaries: tuple[bytes, ...]


def make_plan(columns: Sequence[_core.Column], options: ShardOptions, known: dict[int, bytes]) -> StoragePlan:
    """columns: the waiting rows of each leaf. known: dictionaries that the dataset already uses, by leaf id."""
    means = [column.size / max(column.rows, 1) for column in columns]
    groups = make_groups(means)
    rows = [rows_per_block(group, means, columns, options, hot=k == 0 and not is_bulky(group, means)) for k, group in enumerate(groups)]
    encoder = _core.Encoder()
    dictionaries: list[bytes] = []
    pages = []
    for position, column in enumerate(columns):
        group = next(k for k, members in enumerate(groups) if position in members)
        sample = Sample(column, means[position], means[position] / max(sum(means), 1), rows[group], encoder)
        coding = choose_coding(sample, options, options.codecs[position], known.get(column.leaf.id, b""))
        dictionary, number = coding.dictionary, 0
        if dictionary and (dictionary in dictionaries or len(dictionaries) < MAX_DICTIONARIES):
            if dictionary not in dictionaries:
                dictionaries.append(dictionary)
            number = dictionaries.index(dictionary) + 1
        pages.append(LeafPlan(column.leaf, group, coding, number))
    return StoragePlan(tuple(groups), tuple(rows), tuple(pages), tuple(dictionaries))


def make_groups(means: Sequence[float]) -> list[tuple[int, ...]]:
    """One group of all small columns, and one for each bulky column (the least bulky join the small ones if there are too many)."""
    bulky = [i for i, mean in enumerate(means) if mean >= BULKY]
    if len(bulky) > MAX_GROUPS - 1:
        bulky = sorted(sorted(bulky, key=lambda i: (-means[i], i))[: MAX_GROUPS - 1])
    hot = tuple(i for i in range(len(means)) if i not in bulky)
    return ([hot] if hot else []) + [(i,) for i in bulky]


def is_bulky(group: tuple[int, ...], means: Sequence[float]) -> bool:
    return len(group) == 1 and means[group[0]] >= BULKY


def rows_per_block(group: tuple[int, ...], means: Sequence[float], columns: Sequence[_core.Column], options: ShardOptions, *, hot: bool) -> int:
    most = most_rows(group, means, columns)
    if options.block_rows is not None:
        return min(options.block_rows, most)
    row_bytes = sum(means[i] + (0 if columns[i].leaf.fixed else 4) for i in group)
    block_bytes = max(options.block_bytes, LEAST_PAGE * len(group)) if options.whole_pages else options.block_bytes
    rows = int(block_bytes / max(row_bytes, 1 / 16))
    rest = sum(means) - sum(means[i] for i in group)
    if hot and rest > 0:
        rows = min(rows, int(HOT_SPAN / rest))
    return max(1, min(rows, most))


def most_rows(group: tuple[int, ...], means: Sequence[float], columns: Sequence[_core.Column]) -> int:
    """Most rows of a block so that each page, and all together, stay within the limits of readers; half of that where values vary in size."""
    most = MAX_BLOCK_ROWS
    total = 0.0
    for i in group:
        leaf: Leaf = columns[i].leaf
        row = leaf.width + 1 / 8 if leaf.fixed else means[i] + 4 + 1 / 8
        total += row
        most = min(most, int((MAX_PAGE - 128 if leaf.fixed else MAX_PAGE / 2) / row))
    return max(1, min(most, int(MAX_BLOCK_BYTES / total)))
