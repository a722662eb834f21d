"""Opens one shard file. Errors name the file and say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from atlas_ds import _core
from atlas_ds._core.base import HEADER_BYTES, MAX_FOOTER_BYTES, TRAILER_BYTES, LeafFlags, LeafKind
from atlas_ds.errors import AtlasError, CorruptError, LimitError, TruncatedError
from atlas_ds.schema.schema import Schema, schema_from_json
from atlas_ds.schema.types import Field, Struct
from atlas_ds.shard.info import ShardInfo, chunk_of
from atlas_ds.store.span import AnonymousSpan, open_mapped

MAX_TRUSTED_TAIL = 16 << 20  # bytes at the end of a file that are read because the manifest says that they are the footer
MAX_TAIL = MAX_FOOTER_BYTES + (1 << 20)  # that a footer and a trailer can have


def open_shard(path: Path, *, span: AnonymousSpan | None = None, truncated: bool = False) -> _core.Shard:
    """Opens a shard over the mapped file, or over an anonymous span into which its header and footer were read. truncated: salvage wrote it."""
    try:
        if span is None:
            return _core.Shard(open_mapped(path), str(path), cut=truncated)
        return _core.Shard(span.memory, str(path), fill=span.fill, cut=truncated)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: file not found") from None
    except ValueError as cause:
        if isinstance(cause, AtlasError):
            raise
        raise TruncatedError(f"{path}: the file is empty (byte 0)") from None


def open_anonymous(path: Path, tail: int | None) -> tuple[_core.Shard, AnonymousSpan]:
    """Opens a shard over anonymous memory, into which it reads header and footer. tail: bytes from the footer to the end, if known."""
    try:
        span = AnonymousSpan(path)
    except ValueError as cause:
        if isinstance(cause, AtlasError):
            raise
        raise TruncatedError(f"{path}: the file is empty (byte 0)") from None
    span.fill(0, min(HEADER_BYTES, span.size))
    if tail is None or not TRAILER_BYTES <= tail <= min(span.size, MAX_TRUSTED_TAIL):
        end = min(TRAILER_BYTES, span.size)
        span.fill(span.size - end, end)
        offset = int.from_bytes(span.memory[span.size - end : span.size - end + 8], "little")
        tail = span.size - offset if HEADER_BYTES <= offset < span.size else span.size
        tail = min(tail, MAX_TAIL)  # the footer itself says that a longer one is invalid
    span.fill(span.size - tail, tail)
    return open_shard(path, span=span), span


def shard_info(shard: _core.Shard, name: str) -> ShardInfo:
    """Describes an open shard as a manifest names it. name: of its file."""
    tail = shard.size - shard.footer_offset
    return ShardInfo(name, shard.rows, shard.size, tail, f"{shard.root:016x}", shard.raw_bytes, shard_chunk(shard))


def shard_chunk(shard: _core.Shard) -> int:
    return chunk_of((leaf.rows_per_block, bool(leaf.flags & LeafFlags.PAGE_CODED)) for leaf in shard.leaves)


def shard_schema(shard: _core.Shard) -> Schema:
    """The schema inside a shard, checked against its leaf table."""
    data = shard.schema_json
    try:
        body = json.loads(data)
    except RecursionError as cause:
        raise LimitError(f"{shard.path}: schema: nested too deeply") from cause
    except ValueError as cause:
        raise CorruptError(f"{shard.path}: schema: not JSON: {cause}") from cause
    schema = schema_from_json(body, where=shard.path)
    wanted = [(leaf.id, LeafKind.FIXED if leaf.fixed else LeafKind.VARIABLE, leaf.width) for leaf in schema.leaves]
    free = set(presence_leaves(schema.fields))  # 0 and null both mean absent
    null = [bool(leaf.flags & LeafFlags.NULLABLE) == leaf_of.nullable or leaf_of.id in free for leaf, leaf_of in zip(shard.leaves, schema.leaves, strict=False)]
    if wanted != [(leaf.id, leaf.kind, leaf.width) for leaf in shard.leaves] or not all(null):
        raise CorruptError(f"{shard.path}: schema: its leaves are not those of the leaf table")
    return schema


def presence_leaves(fields: tuple[Field, ...]) -> Iterator[int]:
    """Ids of the leaves that say whether a nullable struct is present."""
    for field in fields:
        if isinstance(field.type, Struct):
            yield from field.leaves
            yield from presence_leaves(field.type.fields)
