"""Describes a finished shard, and the place that shards are written to. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from atlas_ds.store.store import Store


class ShardInfo(NamedTuple):
    """A finished shard, as a manifest names it.

    path: file name. bytes: of the file. tail: bytes from the footer to the end. root: 16 hex digits. raw: bytes of its pages before compression.
    chunk: rows of its chunks, see chunk_of.
    """

    path: str
    rows: int
    bytes: int
    tail: int
    root: str
    raw: int
    chunk: int


def chunk_of(leaves: Iterable[tuple[int, bool]]) -> int:
    """Rows that are stored together, by (rows per block, whether several values are compressed together) of all leaves.

    It is the smallest block of those that are, or else of all.
    """
    leaves = list(leaves)
    return min((rows for rows, coded in leaves if coded), default=0) or min(rows for rows, _ in leaves)


@dataclass(frozen=True, slots=True)
class ShardTarget:
    """The place that the shards of a sequence of rows are written to, the names of their files, and callbacks.

    mark: of the names of temporary files. ordinal: returns the number of the next shard. label: begins the name of its file. name: the
    complete name, once its root is known. before_publish, after_publish: called around the rename, the second with the shard's notes.
    """

    store: Store
    mark: str
    ordinal: Callable[[], int]
    label: Callable[[int], str]
    name: Callable[[int, str], str]
    before_publish: Callable[[ShardInfo], None]
    after_publish: Callable[[ShardInfo, dict[str, Any]], None]
