"""What a writer was asked for: checked when it is given. Knows no files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas_ds.schema.schema import Schema
from atlas_ds.shard.plan import CODECS, Options
from atlas_ds.sizes import parse_size

DEFAULT_BLOCK = {"random": "64KiB", "scan": "1MiB"}
MOST_PARTS = 10**9


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """Options of AtlasDatasetWriter that change a shard's bytes. One of shard_rows and shard_bytes is None, and of block_rows and block_bytes."""

    shard_rows: int | None
    shard_bytes: int | None
    block_rows: int | None
    block_bytes: int | None
    compression: str | dict[str, str]
    level: int
    dictionary: str | None
    access: str

    def to_json(self) -> dict[str, Any]:
        """By the names that users give them, so that an error can say which differ."""
        return {
            "shard_size": self.shard_rows if self.shard_bytes is None else f"{self.shard_bytes}B",
            "block_size": self.block_rows if self.block_bytes is None else f"{self.block_bytes}B",
            "compression": self.compression,
            "level": self.level,
            "dictionary": self.dictionary,
            "access": self.access,
        }

    def check_names(self, names: Sequence[str]) -> None:
        """ValueError if compression= names what is no column."""
        unknown = set(self.compression) - set(names) if isinstance(self.compression, dict) else ()
        if unknown:
            raise ValueError(f"compression names {sorted(unknown)[0]!r}, which is no column; the columns are {', '.join(names)} (or give schema=)")

    def of_shards(self, schema: Schema) -> Options:
        self.check_names(schema.names)
        codecs: list[int | None] = []
        for leaf in schema.leaves:
            name = self.compression if isinstance(self.compression, str) else self.compression.get(leaf.path.partition(".")[0], "auto")
            codecs.append(None if name == "auto" else CODECS[name])
        return Options(tuple(codecs), self.level, self.access, self.block_bytes or 64 << 10, self.block_rows, self.dictionary is not None)


def checked_options(
    shard_size: int | str, block_size: int | str | None, compression: str | Mapping[str, str], level: int, dictionary: str | None, access: str
) -> WriterOptions:
    if access not in DEFAULT_BLOCK:
        raise ValueError(f"access={access!r}: 'random' or 'scan'")
    if dictionary not in ("shared", "shard", None):
        raise ValueError(f"dictionary={dictionary!r}: 'shared', 'shard' or None")
    shards = parse_size(shard_size, "shard_size")
    blocks = parse_size(block_size if block_size is not None else DEFAULT_BLOCK[access], "block_size")
    return WriterOptions(*shards, *blocks, checked_compression(compression), whole_number(level, "level", 1, 22), dictionary, access)


def checked_compression(compression: Any) -> str | dict[str, str]:
    names = compression.values() if isinstance(compression, Mapping) else [compression]
    for name in names:
        if not isinstance(name, str) or (name != "auto" and name not in CODECS):
            raise ValueError(f"compression={name!r}: 'auto', 'none', 'lz4', 'zstd', or a dict of column to one of these")
    if isinstance(compression, Mapping):
        odd = next((name for name in compression if not isinstance(name, str)), None)
        if odd is not None:
            raise ValueError(f"compression names {odd!r}: a column's name is a str")
        return {str(name): str(codec) for name, codec in compression.items()}
    return str(compression)


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """An int within bounds; TypeError for anything else that compares like one."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r}: give an int from {least} to {most}")
    number: int = value.__index__()
    if not least <= number <= most:
        raise ValueError(f"{name}={number}: {least} to {most}")
    return number


def checked_workers(workers: Any) -> int:
    """Encoding threads; None: the cores."""
    return max(1, os.cpu_count() or 1) if workers is None else whole_number(workers, "workers", 0, 1024)


def checked_part(part: Any) -> int | None:
    return None if part is None else whole_number(part, "part", 0, MOST_PARTS - 1)


def checked_icc(icc: Any) -> tuple[str, ...] | None:
    if icc is None:
        return None
    if isinstance(icc, str):
        raise TypeError(f"icc={icc!r}: give a list of columns: icc=[{icc!r}]")
    return tuple(icc)


def checked_split(split: Any) -> str | None:
    if split is None:
        return None
    if not isinstance(split, str) or not split:
        raise ValueError(f"split={split!r}: a name such as 'train'")
    try:
        split.encode()
    except UnicodeEncodeError:
        raise ValueError(f"split={split!r} has a lone surrogate, which UTF-8 cannot hold: choose another name") from None
    return str(split)
