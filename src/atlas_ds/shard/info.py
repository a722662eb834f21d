"""Describes a finished shard, and the place that shards are written to. Nothing is read or written here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """A finished shard, as a manifest names it. path: file name; tail: bytes from the footer to the end; root: 16 hex digits."""

    path: str
    rows: int
    bytes: int
    tail: int
    root: str


@dataclass(frozen=True, slots=True)
class ShardTarget:
    """The place that the shards of a sequence of rows are written to, the names of their files, and callbacks.

    mark: of the names of temporary files. ordinal: returns the number of the next shard. label: begins the name of its file. name: the
    complete name, once its root is known. before_publish, after_publish: called around the rename.
    """

    folder: Path
    mark: str
    ordinal: Callable[[], int]
    label: Callable[[int], str]
    name: Callable[[int, str], str]
    before_publish: Callable[[ShardInfo], None]
    after_publish: Callable[[ShardInfo], None]
