"""The options of writers: their types, and their checks. It opens no file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from atlas_ds.schema.schema import Schema
from atlas_ds.schema.types import walk_leaves
from atlas_ds.shard.coding import CODECS, Access, CodecName, ShardOptions
from atlas_ds.sizes import parse_size

Size = int | str
"""A number of examples, or bytes as text: "256MiB"."""
Compression = CodecName | Mapping[str, CodecName]
Dictionary = Literal["shared", "shard"]

DEFAULT_SHARD = "256MiB"
DEFAULT_BLOCK = 64 << 10
MAX_PARTS = 10**9


class WriterOptions(TypedDict, total=False):
    """The options that every function which writes a dataset passes on to AtlasDatasetWriter, whose docstring describes them."""

    shard_size: Size
    block_size: Size | None
    compression: Compression
    level: int
    dictionary: Dictionary | None
    access: Access
    overwrite: bool
    workers: int | None


def refuse_unknown(function: str, options: Mapping[str, Any], known: type = WriterOptions) -> None:
    """TypeError, as Python raises it, for a keyword argument that is not one of the options: before any work is done."""
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """The options of AtlasDatasetWriter that change the bytes of a shard, checked.

    One of shard_rows and shard_bytes is None, and one of block_rows and block_bytes, or both: the default.
    """

    shard_rows: int | None
    shard_bytes: int | None
    block_rows: int | None
    block_bytes: int | None
    compression: CodecName | dict[str, CodecName]
    level: int
    dictionary: Dictionary | None
    access: Access

    def to_json(self) -> dict[str, Any]:
        """By the names of the users' options, so that an error can say which differ."""
        return {
            "shard_size": self.shard_rows if self.shard_bytes is None else f"{self.shard_bytes}B",
            "block_size": self.block_rows if self.block_bytes is None else f"{self.block_bytes}B",
            "compression": self.compression,
            "level": self.level,
            "dictionary": self.dictionary,
            "access": self.access,
        }

    def check_names(self, names: Sequence[str]) -> None:
        """ValueError if compression= names something that is not a column."""
        unknown = set(self.compression) - set(names) if isinstance(self.compression, dict) else ()
        if unknown:
            raise ValueError(f"compression names {sorted(unknown)[0]!r}, which is not a column; the columns are {', '.join(names)} (or pass schema=)")

    def of_shards(self, schema: Schema) -> ShardOptions:
        self.check_names(schema.names)
        codecs: list[int | None] = []
        for field in schema.fields:
            name = self.compression if isinstance(self.compression, str) else self.compression.get(field.name, "auto")
            codecs += [None if name == "auto" else CODECS[name]] * len(list(walk_leaves((field,))))
        whole_pages = self.access == "scan" and (self.block_rows, self.block_bytes) != (None, None)
        block_bytes = self.block_bytes or DEFAULT_BLOCK
        return ShardOptions(tuple(codecs), self.level, self.access, block_bytes, self.block_rows, self.dictionary is not None, whole_pages)


def checked_options(
    shard_size: Size,
    block_size: Size | None,
    compression: Compression,
    level: int,
    dictionary: Dictionary | None,
    access: Access,
) -> StorageOptions:
    if access not in get_args(Access):
        raise ValueError(f"access={access!r}: must be 'random' or 'scan'")
    if dictionary not in ("shared", "shard", None):
        raise ValueError(f"dictionary={dictionary!r}: must be 'shared', 'shard' or None")
    shards = parse_size(shard_size, "shard_size")
    blocks = parse_size(block_size, "block_size") if block_size is not None else (None, None)
    return StorageOptions(*shards, *blocks, checked_compression(compression), whole_number(level, "level", 1, 22), dictionary, access)


def checked_compression(compression: Any) -> CodecName | dict[str, CodecName]:
    names = compression.values() if isinstance(compression, Mapping) else [compression]
    for name in names:
        if not isinstance(name, str) or (name != "auto" and name not in CODECS):
            raise ValueError(f"compression={name!r}: must be 'auto', 'none', 'lz4', 'zstd', or a dict of column to one of these")
    if isinstance(compression, Mapping):
        odd = next((name for name in compression if not isinstance(name, str)), None)
        if odd is not None:
            raise ValueError(f"compression names {odd!r}: column names must be str")
        return {str(name): codec for name, codec in compression.items()}
    codec: CodecName = compression
    return codec


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """Returns an int within bounds; TypeError for anything else that compares like one."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}={value!r}: give an int from {least} to {most}")
    number: int = value.__index__()
    if not least <= number <= most:
        raise ValueError(f"{name}={number}: must be {least} to {most}")
    return number


def checked_workers(workers: Any) -> int:
    """Returns the number of encoding threads; None: one per core."""
    return max(1, os.cpu_count() or 1) if workers is None else whole_number(workers, "workers", 0, 1024)


def checked_part(part: Any) -> int | None:
    return None if part is None else whole_number(part, "part", 0, MAX_PARTS - 1)


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
        raise ValueError(f"split={split!r}: must be a name such as 'train'")
    try:
        split.encode()
    except UnicodeEncodeError:
        raise ValueError(f"split={split!r} has a lone surrogate, which UTF-8 cannot hold: choose another name") from None
    return str(split)
