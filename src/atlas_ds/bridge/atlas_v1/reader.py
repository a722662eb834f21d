"""Reads datasets of torch-atlas-ds (version 1), whose blocks are pickles, for users who state that
they trust the writer.

The only file of the package that unpickles foreign data, in one function, `unpickle`. files.py
reads the files' layout.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from atlas_ds.bridge.atlas_v1.files import Layout, Shard, blocks_of, need_zstandard, read_layout
from atlas_ds.bridge.refusals import Refusals
from atlas_ds.bridge.source import DEFAULTS, ReadOptions, Refused, Row, Source
from atlas_ds.errors import AtlasError, CorruptError, LimitError, SchemaError, TruncatedError, UnsupportedError
from atlas_ds.schema.describe import to_numpy

MISSING = ("error", "skip")


def read_atlas_v1(path: Path, options: ReadOptions = DEFAULTS) -> Source:
    """The examples of a dataset or of one shard's folder, in order. All files are checked before
    the first example is unpickled.

    missing: "skip" leaves out missing shards, so that later rows move up; "error" lists them.
    """
    if options.missing not in MISSING:
        raise ValueError(f"missing={options.missing!r}: must be 'error' or 'skip'")
    if not options.trust_pickle:
        raise AtlasError(
            f"{path}: a dataset of torch-atlas-ds (version 1). Its examples are pickles, and reading a pickle can run any code that its writer"
            " put there. If you trust the writer: --trust-pickle, or trust_pickle=True in Python"
        )
    layout = read_layout(path, follow_links=options.follow_links)
    if layout.missing and options.missing == "error":
        raise TruncatedError(
            f"{path}: of {len(layout.shards) + len(layout.missing)} shards these are missing: {listed(layout)}."
            " Restore them, or leave their rows out: --missing skip, or missing='skip' in Python"
        )
    damaged = Refusals()
    for shard in layout.shards:
        if shard.error is not None:
            damaged.add(shard.error, shard.rows)
    if damaged.errors and options.on_error == "raise":  # before anything is unpickled
        raise damaged.as_error(layout.rows)
    if any(shard.compressed and shard.rows for shard in layout.shards):
        need_zstandard()
    ends = list(accumulate(shard.rows for shard in layout.shards))

    def place(row: int) -> str:
        k = min(bisect_right(ends, row), len(ends) - 1)
        shard, inside = layout.shards[k], row - (ends[k] - layout.shards[k].rows)
        return f"{shard.folder}: block {inside // shard.block_size}, example {inside} of the shard (row {row})"

    def examples() -> Iterator[Row]:
        for shard in layout.shards:
            for example in examples_of(shard, options.max_expansion):
                yield example, None

    return Source("atlas-v1", examples, sum(shard.rows for shard in layout.shards), notes=notes(layout), place=place)


def listed(layout: Layout) -> str:
    """The missing shards and their rows, the first few by name."""
    sizes = dict(layout.missing)
    present = iter(layout.shards)
    row, parts = 0, []
    for number in range(len(layout.shards) + len(layout.missing)):
        rows = sizes[number] if number in sizes else next(present).rows
        if number in sizes:
            parts.append(f"{number} (rows {row:,} to {row + rows - 1:,})" if rows else f"{number} (no rows)")
        row += rows
    return ", ".join(parts[:8]) + (f" and {len(parts) - 8} more" if len(parts) > 8 else "")


def notes(layout: Layout) -> tuple[str, ...]:
    if not layout.missing:
        return ()
    lost = sum(rows for _, rows in layout.missing)
    return (f"{len(layout.missing)} missing shards left out, {lost:,} of {layout.rows:,} rows: shard {listed(layout)}; the rows after them move up",)


def examples_of(shard: Shard, max_expansion: int) -> Iterator[Any]:
    """The examples of a shard, block by block. A block that cannot be read loses its examples;
    damage of the shard's file loses all following ones."""
    if shard.error is not None:
        yield Refused(shard.error, shard.rows)
        return
    done = 0
    try:
        for block, data in blocks_of(shard, max_expansion):
            place, rows, first = f"{shard.folder}: block {block}", shard.rows_of(block), block * shard.block_size
            found = data if isinstance(data, Refused) else examples_of_block(data, place, rows)
            del data  # only the examples stay in memory
            done += rows
            if isinstance(found, Refused):
                yield found
                continue
            for i, example in enumerate(found):
                yield checked(example, f"{place}, example {first + i} of the shard")
    except AtlasError as error:
        yield Refused(error, shard.rows - done)


def examples_of_block(data: bytes, place: str, rows: int) -> list[Any] | Refused:
    try:
        found = unpickle(data, place)
        if type(found) is not list:
            raise CorruptError(f"{place}: holds a {type(found).__name__}, not a list of examples; restore the shard")
        if len(found) != rows:
            raise CorruptError(f"{place}: holds {len(found):,} examples, but stored_examples and block_size imply {rows:,}; restore the shard")
    except (CorruptError, UnsupportedError, LimitError) as error:
        return Refused(error, rows)
    return found


def checked(example: Any, place: str) -> Any:
    """The example, or Refused if it has a value without a NumPy form."""
    try:
        check_tensors(example, place, "")
    except (SchemaError, LimitError) as error:
        return Refused(error)
    return example


def unpickle(data: bytes, place: str) -> Any:
    """Unpickles the data. This runs any code that its writer put there; it is only called with
    trust_pickle=True."""
    import pickle

    try:
        return pickle.loads(data)
    except (ImportError, AttributeError) as error:
        raise UnsupportedError(f"{place}: its examples need {error}; run this where the program that wrote them can be imported") from error
    except MemoryError:
        raise LimitError(f"{place}: its examples do not fit into memory, or its stored sizes are wrong; restore the shard") from None
    except Exception as error:  # the pickle's code may raise anything
        raise CorruptError(f"{place}: cannot be unpickled: {type(error).__name__}: {error}; restore the shard") from error


def check_tensors(value: Any, place: str, column: str) -> None:
    """SchemaError for a tensor that has no NumPy form (sparse, quantized); the error of the
    writer would not say where it is."""
    if isinstance(value, dict):
        for name, inner in value.items():
            check_tensors(inner, place, f"{column}.{name}" if column else str(name))
    elif isinstance(value, tuple | list):
        for i, inner in enumerate(value):
            check_tensors(inner, place, f"{column}.{i}" if column else str(i))
    elif hasattr(value, "detach"):
        try:
            to_numpy(value)
        except (TypeError, RuntimeError) as error:
            raise SchemaError(f"{place}: column {column or 'value'!r}: a tensor without a NumPy form: {error}; write it as a dense one") from error
