"""Verifies one shard: every byte, and the rules of values that the core does not check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlas_ds import _core
from atlas_ds._core.base import Verify
from atlas_ds.errors import CorruptError, LimitError
from atlas_ds.schema import objects
from atlas_ds.schema.schema import Schema
from atlas_ds.schema.times import bounds
from atlas_ds.schema.types import Array, ClassLabel, Date, Field, Leaf, Scalar, Struct, Timestamp, Word, walk_leaves
from atlas_ds.shard.open import open_shard, shard_schema

COUNT_ROWS = 1 << 16  # that are checked at a time


def verify_shard(path: str | os.PathLike[str], *, fast: bool = False, advance: Callable[[int], None] | None = None) -> int:
    """Checks every byte of a shard (fast: trailer, footer, header only); returns its rows. Raises at the first damage."""
    return verify_opened(open_shard(Path(path)), fast=fast, advance=advance)


def verify_opened(shard: _core.Shard, *, fast: bool = False, advance: Callable[[int], None] | None = None) -> int:
    """As verify_shard, for a shard that is open with all of its bytes."""
    schema = shard_schema(shard)
    if fast:
        return int(shard.rows)
    before = 0
    for offset in shard.verify_steps():
        if advance is not None:
            advance(offset - before)
        before = offset
    verify_values(shard, schema)
    return int(shard.rows)


def verify_values(shard: _core.Shard, schema: Schema) -> None:
    """Checks what the core does not: text is UTF-8, objects are MessagePack, shapes match, bools are 0 or 1, columns agree on nulls."""
    if shard.rows == 0:
        return
    check_counts(shard, schema)
    check_objects(shard, schema)
    fields = tuple(field for field in schema.fields if needs_values(field))
    if not fields:
        return
    part = Schema(fields, "dict")
    flat = tuple(as_leaf(leaf) for leaf in schema.leaves) if any(map(needs_leaves, schema.fields)) else ()
    shard_set, positions = shard_set_of(shard), positions_of(shard)
    projection = _core.Projection(part, positions)
    bare = _core.Projection(Schema(flat, "dict"), positions) if flat else None
    for rows in steps_of(shard, shard_set.chunk_rows(projection)):
        check_bools(shard_set.batch(projection, rows), part.fields, shard.path)
        shard_set.examples(projection, rows)
        if bare is not None:
            check_nulls(shard_set.batch(bare, rows), schema.fields, shard.path)


def shard_set_of(shard: _core.Shard) -> _core.ShardSet:
    """The shard alone, opened."""
    shard_set = _core.ShardSet(np.array([0, shard.rows]), lambda _: [shard], verify=Verify.FIRST, copy=True)
    shard_set.shard(0)
    return shard_set


def positions_of(shard: _core.Shard) -> dict[int, int]:
    return {leaf.id: i for i, leaf in enumerate(shard.leaves)}


def steps_of(shard: _core.Shard, step: int) -> Iterator[np.ndarray]:
    """The numbers of all rows, some at a time."""
    for start in range(0, shard.rows, step):
        yield np.arange(start, min(start + step, shard.rows), dtype=np.int64)


def leaf_columns(shard: _core.Shard, fields: Sequence[Field], step: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The columns of fields that are leaves, some rows at a time, each with the number of its first row."""
    shard_set = shard_set_of(shard)
    projection = _core.Projection(Schema(tuple(fields), "dict"), positions_of(shard))
    for rows in steps_of(shard, step or shard_set.chunk_rows(projection)):
        yield int(rows[0]), shard_set.batch(projection, rows)


def check_counts(shard: _core.Shard, schema: Schema) -> None:
    """Checks that moments and days are of years that can be read, and that numbers of classes have names."""
    limits = ((field, limits_of(field)) for field in all_fields(schema.fields))
    kinds = {field.leaves[0]: (field, limit) for field, limit in limits if limit is not None}
    if not kinds:
        return
    numbers = [Field(str(leaf.id), Scalar(f"int{8 * leaf.width}"), leaf.nullable, leaves=(leaf.id,)) for leaf in schema.leaves if leaf.id in kinds]
    for start, columns in leaf_columns(shard, numbers, COUNT_ROWS):
        for name, column in columns.items():
            field, (least, greatest) = kinds[int(name)]
            bad = np.ma.filled((column < least) | (column > greatest), False)
            if bad.any():
                row = start + int(np.argmax(bad))
                raise CorruptError(f"{shard.path}: row {row}: column {field.name!r}: {int(column[row - start])} is not a value of {field.type}")


def check_objects(shard: _core.Shard, schema: Schema) -> None:
    """Checks objects to the letter: a reader takes the last of two equal keys, and cuts what is finer than a microsecond."""
    optional = object_leaves(schema.fields)
    if not optional:
        return
    for start, columns in leaf_columns(shard, [as_leaf(leaf) for leaf in schema.leaves if leaf.id in optional]):
        for name, column in columns.items():
            for row, value in enumerate(column, start):
                if value == b"" and optional[int(name)]:
                    continue  # of an absent struct; if it is there, reading it fails
                try:
                    objects.check(value)
                except (CorruptError, LimitError) as cause:
                    raise type(cause)(f"{shard.path}: row {row}: {cause}") from cause


def object_leaves(fields: tuple[Field, ...], optional: bool = False) -> dict[int, bool]:
    """The leaf of each object, and whether it is in a struct that may be absent."""
    found = {field.leaves[0]: optional for field in fields if field.type == Word("object")}
    for field in fields:
        if isinstance(field.type, Struct):
            found |= object_leaves(field.type.fields, optional or field.nullable)
    return found


def all_fields(fields: tuple[Field, ...]) -> Iterator[Field]:
    for field in fields:
        yield field
        if isinstance(field.type, Struct):
            yield from all_fields(field.type.fields)


def limits_of(field: Field) -> tuple[int, int] | None:
    """The least and the greatest number that a value is stored as, where not every number is one."""
    if isinstance(field.type, Timestamp | Date):
        return bounds(field.type)
    return (0, len(field.type.names) - 1) if isinstance(field.type, ClassLabel) else None


def as_leaf(leaf: Leaf) -> Field:
    """A leaf as a column of its own, so that its bytes can be checked."""
    return Field(str(leaf.id), Array("uint8", (leaf.width,)) if leaf.fixed else Word("bytes"), nullable=True, leaves=(leaf.id,))


def needs_leaves(field: Field) -> bool:
    inner = isinstance(field.type, Struct) and any(map(needs_leaves, field.type.fields))
    return inner or (field.nullable and (isinstance(field.type, Struct) or len(field.leaves) > 1))


def check_nulls(leaves: dict[str, Any], fields: tuple[Field, ...], path: str) -> None:
    """Checks that all leaves of a field are null in the same rows, and that the leaves of an absent struct are zero or empty."""
    for field in fields:
        own = [leaves[str(id)] for id in field.leaves]
        nulls = [is_null(column) for column in own if column is own[0] or np.size(column)]  # a shape of 0 bytes says nothing
        if any((other != nulls[0]).any() for other in nulls[1:]):
            raise CorruptError(f"{path}: column {field.name!r}: its physical columns disagree on which rows are null")
        if not isinstance(field.type, Struct):
            continue
        if field.leaves:
            flags = np.ma.filled(leaves[str(field.leaves[0])], 0).reshape(-1)
            if flags.max(initial=0) > 1:
                raise CorruptError(f"{path}: column {field.name!r}: the presence of a struct is neither 0 nor 1")
            if any(holds_data(leaves[str(leaf.id)], flags == 0) for leaf in walk_leaves(field.type.fields)):
                raise CorruptError(f"{path}: column {field.name!r}: a value in an absent struct")
        check_nulls(leaves, field.type.fields, path)


def is_null(column: Any) -> np.ndarray:
    if isinstance(column, list):
        return np.array([value is None for value in column], np.bool_)
    mask = np.ma.getmaskarray(column)
    return np.asarray(mask.reshape(len(mask), -1).any(axis=1))


def holds_data(column: Any, absent: np.ndarray) -> bool:
    if isinstance(column, list):
        return any(value for value, gone in zip(column, absent, strict=True) if gone)
    return bool(np.ma.filled(column, 0)[absent].any())


def needs_values(field: Field) -> bool:
    if isinstance(field.type, Struct):
        return field.nullable or any(needs_values(inner) for inner in field.type.fields)
    if isinstance(field.type, Timestamp | Date | ClassLabel):
        return False  # check_counts has looked at them
    if field.type == Word("object"):
        return False  # check_objects has
    return not (type(field.type).__name__ in ("Scalar", "Array") and getattr(field.type, "dtype", "") != "bool") and str(field.type) != "bytes"


def check_bools(columns: dict[str, Any], fields: tuple[Field, ...], path: str) -> None:
    for field in fields:
        column = columns[field.name]
        if isinstance(field.type, Struct) and isinstance(column, dict):
            check_bools(column, field.type.fields, path)
        elif getattr(field.type, "dtype", "") == "bool":
            values = column.values if hasattr(column, "offsets") else np.ma.getdata(column)
            if np.asarray(values).view(np.uint8).max(initial=0) > 1:
                raise CorruptError(f"{path}: column {field.name!r}: a bool is neither 0 nor 1")
